-- Removes the groups of a spool file (SQLite) that are stored in Postgres.
-- Grain and key: all rows up to seq.
-- Parameters: seq of the last group stored.
DELETE FROM groups
WHERE seq <= ?
