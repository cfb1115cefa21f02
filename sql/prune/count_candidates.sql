-- Counts the events that are old enough to be pruned and that an export has taken.
-- Grain and key: (tenant_id, received_day, occurred_day), UTC days; ordered by received_day.
-- Parameters: cutoff timestamptz (exclusive), watermark bigint (rows of transactions below it are exported).
SELECT
    tenant_id,
    (received_at AT TIME ZONE 'UTC')::date AS received_day,
    (occurred_at AT TIME ZONE 'UTC')::date AS occurred_day,
    count(*) AS events
FROM event_logs
WHERE received_at < %(cutoff)s
    AND ingest_xid < %(watermark)s::text::xid8
GROUP BY
    tenant_id,
    (received_at AT TIME ZONE 'UTC')::date,
    (occurred_at AT TIME ZONE 'UTC')::date
ORDER BY
    received_day,
    tenant_id,
    occurred_day
