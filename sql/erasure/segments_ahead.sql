-- Counts the segments of the write-ahead log that lie ready for reuse, with their old bytes.
-- Grain: one row.
-- Parameters: none.
SELECT count(*) AS segments
FROM pg_ls_waldir()
WHERE name ~ '^[0-9A-F]{24}$'
    AND name > pg_walfile_name(pg_current_wal_lsn())
