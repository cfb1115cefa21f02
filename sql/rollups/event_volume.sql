-- Adds some days to event_volume: events per name.
-- Grain and key: one row per (tenant_id, day, event_name).
-- Parameters: paths text[] (of the days), oldest, newest timestamptz.
INSERT INTO event_volume
SELECT
    tenant_id,
    CAST(occurred_at AS DATE) AS day,
    event_name,
    count(*) AS events
FROM read_parquet($paths)
WHERE occurred_at BETWEEN $oldest AND $newest
GROUP BY
    tenant_id,
    CAST(occurred_at AS DATE),
    event_name
