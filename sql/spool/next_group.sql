-- Finds the next group of a spool file (SQLite).
-- Grain and key: at most one row, seq.
-- Parameters: seq of the last group not wanted.
SELECT
    seq,
    oldest
FROM groups
WHERE seq > ?
ORDER BY seq
LIMIT 1
