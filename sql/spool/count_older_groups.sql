-- Counts the groups of a spool file (SQLite) with anything received before a moment.
-- Grain: one row.
-- Parameters: the moment, in microseconds since 1970.
SELECT
    count(*) AS older
FROM groups
WHERE oldest < ?
