-- Finds the last group of a spool file (SQLite).
-- Grain and key: at most one row, seq.
-- Parameters: none.
SELECT
    seq
FROM groups
ORDER BY seq DESC
LIMIT 1
