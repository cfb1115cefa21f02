-- Adds some days to event_volume: events per name.
-- Grain and key: one row per (tenant_id, day, event_name).
-- Parameters: paths text[] (of the days), oldest, newest timestamptz.
INSERT INTO event_volume
SELECT
    tenant_id,
    day,
    event_name,
    count(*) AS events
FROM read_parquet($paths, hive_partitioning = true)
WHERE occurred_at BETWEEN $oldest AND $newest
GROUP BY
    tenant_id,
    day,
    event_name
