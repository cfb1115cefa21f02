-- Says what keeps old segments of the write-ahead log, or copies of them: archives, replicas, slots.
-- Grain: one row per reason.
-- Parameters: none.
SELECT 'the archive of the write-ahead log' AS holder
WHERE current_setting('archive_mode') <> 'off'
UNION ALL
SELECT 'replication slot ' || slot_name
FROM pg_replication_slots
UNION ALL
SELECT 'a standby server'
WHERE EXISTS (SELECT 1 FROM pg_stat_replication)
UNION ALL
SELECT 'wal_keep_size'
WHERE current_setting('wal_keep_size') NOT IN ('0', '0MB')
