-- Reads the keys of the events to prune of one day of receipt.
-- Grain and key: one row per event (tenant_id, event_id), but for the days of occurrence that the lake does not confirm.
-- Parameters: start, end timestamptz (exclusive), watermark bigint, tenants text[], held_tenants text[], held_days date[] (of the same
-- length: what to leave alone).
SELECT
    tenant_id,
    event_id
FROM event_logs
WHERE received_at >= %(start)s
    AND received_at < %(end)s
    AND ingest_xid < %(watermark)s::text::xid8
    AND tenant_id = ANY(%(tenants)s)
    AND (tenant_id, (occurred_at AT TIME ZONE 'UTC')::date) NOT IN (
        SELECT
            held.tenant_id,
            held.day
        FROM unnest(%(held_tenants)s::text[], %(held_days)s::date[]) AS held (tenant_id, day)
    )
