-- Counts what a spool file (SQLite) holds between two groups, without reading their payload.
-- Grain: one row.
-- Parameters: seq after which, seq up to which.
SELECT
    coalesce(sum(deliveries), 0) AS deliveries,
    coalesce(sum(bytes), 0) AS bytes
FROM groups
WHERE seq > ? AND seq <= ?
