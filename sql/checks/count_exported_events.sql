-- Counts the events that an export has taken, pruned ones too, with sums over the last 48 bits of their ids that no
-- order changes.
-- Grain and key: (tenant_id, day) by UTC date of occurred_at.
-- Parameters: start, end timestamptz (exclusive), watermark bigint.
WITH found AS (
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
    UNION ALL
    SELECT
        tenant_id,
        occurred_day,
        events,
        id_sum,
        id_xor
    FROM removed_events
    WHERE reason = 'pruned'
        AND occurred_day >= (%(start)s::timestamptz AT TIME ZONE 'UTC')::date
        AND occurred_day <= ((%(end)s::timestamptz - INTERVAL '1 microsecond') AT TIME ZONE 'UTC')::date
)

SELECT
    tenant_id,
    day,
    sum(events)::bigint AS events,
    sum(id_sum) AS id_sum,
    bit_xor(id_xor) AS id_xor
FROM found
GROUP BY
    tenant_id,
    day
HAVING sum(events) > 0
