-- Counts the events that are old enough to be pruned and that an export has taken.
-- Grain and key: (tenant_id, received_day, occurred_day), UTC days; ordered by received_day.
-- Parameters: today date, hot_days integer (of tenants without days of their own), watermark bigint (rows of
-- transactions below it are exported).
SELECT
    event_logs.tenant_id,
    (received_at AT TIME ZONE 'UTC')::date AS received_day,
    (occurred_at AT TIME ZONE 'UTC')::date AS occurred_day,
    count(*) AS events
FROM event_logs
LEFT JOIN tenants
    ON tenants.tenant_id = event_logs.tenant_id
WHERE received_at < (%(today)s::date - coalesce(tenants.hot_days, %(hot_days)s))::timestamp AT TIME ZONE 'UTC'
    AND ingest_xid < %(watermark)s::text::xid8
GROUP BY
    event_logs.tenant_id,
    (received_at AT TIME ZONE 'UTC')::date,
    (occurred_at AT TIME ZONE 'UTC')::date
ORDER BY
    received_day,
    event_logs.tenant_id,
    occurred_day
