-- Reads the groups of a spool file (SQLite) after a given one, in order.
-- Grain and key: one row per group, seq.
-- Parameters: seq of the last group not wanted.
SELECT
    seq,
    checksum,
    payload
FROM groups
WHERE seq > ?
ORDER BY seq
