-- Adds one day to event_volume: events per name.
-- Grain and key: one row per (tenant_id, day, event_name).
-- Parameters: paths text[] (of the day), day date, oldest, newest timestamptz.
INSERT INTO event_volume
SELECT
    tenant_id,
    $day AS day,
    event_name,
    count(*) AS events
FROM read_parquet($paths)
WHERE occurred_at BETWEEN $oldest AND $newest
GROUP BY
    tenant_id,
    event_name
