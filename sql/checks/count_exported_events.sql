-- Counts the events that an export has taken, with sums over the last 48 bits of their ids that no order changes.
-- Grain and key: (tenant_id, day) by UTC date of occurred_at.
-- Parameters: start, end timestamptz (exclusive), watermark bigint.
SELECT
    tenant_id,
    (occurred_at AT TIME ZONE 'UTC')::date AS day,
    count(*) AS events,
    sum(('x' || right(event_id::text, 12))::bit(48)::bigint) AS id_sum,
    bit_xor(('x' || right(event_id::text, 12))::bit(48)::bigint) AS id_xor
FROM event_logs
WHERE occurred_at >= %(start)s
    AND occurred_at < %(end)s
    AND ingest_xid < %(watermark)s::text::xid8
GROUP BY
    tenant_id,
    (occurred_at AT TIME ZONE 'UTC')::date
