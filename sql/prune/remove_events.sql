-- Removes events whose ids are noted, and counts them as pruned in the same step.
-- Grain of the result: one row, the number of events removed.
-- Parameters: tenant_ids text[], event_ids uuid[] (of the same length).
WITH gone AS (
    DELETE FROM event_logs
    USING unnest(%(tenant_ids)s::text[], %(event_ids)s::uuid[]) AS wanted (tenant_id, event_id)
    WHERE event_logs.tenant_id = wanted.tenant_id
        AND event_logs.event_id = wanted.event_id
        AND EXISTS (
            SELECT
            FROM removed_event_ids AS removed
            WHERE removed.event_id = wanted.event_id
                AND removed.tenant_id = wanted.tenant_id
            OFFSET 0
        )
    RETURNING event_logs.tenant_id, event_logs.event_id, event_logs.received_at, event_logs.occurred_at
),

booked AS (
    INSERT INTO removed_events (
        tenant_id,
        received_day,
        occurred_day,
        reason,
        events,
        id_sum,
        id_xor
    )
    SELECT
        tenant_id,
        (received_at AT TIME ZONE 'UTC')::date,
        (occurred_at AT TIME ZONE 'UTC')::date,
        'pruned',
        count(*),
        sum(('x' || right(event_id::text, 12))::bit(48)::bigint),
        bit_xor(('x' || right(event_id::text, 12))::bit(48)::bigint)
    FROM gone
    GROUP BY 1, 2, 3
    ORDER BY 1, 2, 3
    ON CONFLICT (tenant_id, received_day, occurred_day, reason) DO UPDATE SET
        events = removed_events.events + excluded.events,
        id_sum = removed_events.id_sum + excluded.id_sum,
        id_xor = removed_events.id_xor # excluded.id_xor
)

SELECT
    count(*) AS events
FROM gone
