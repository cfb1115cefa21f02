-- Adds events to the counts by the day they happened and the day they were received.
-- Grain and key: one row per (tenant_id, occurred_day, received_day).
-- Parameters: tenant_ids text[], occurred_days, received_days date[], events bigint[]: one element per row.
INSERT INTO arrival_counts (
    tenant_id,
    occurred_day,
    received_day,
    events
)
SELECT
    tenant_id,
    occurred_day,
    received_day,
    events
FROM unnest(
    %(tenant_ids)s::text[], %(occurred_days)s::date[], %(received_days)s::date[], %(events)s::bigint[]
) AS added (tenant_id, occurred_day, received_day, events)
ON CONFLICT (tenant_id, occurred_day, received_day) DO UPDATE SET
    events = arrival_counts.events + excluded.events
