-- Reads one group of a spool file (SQLite): the way past a page that cannot be read.
-- Grain and key: at most one row, seq.
-- Parameters: seq.
SELECT
    seq,
    checksum,
    payload
FROM groups
WHERE seq = ?
