-- Books the erased events: those that Postgres had, and those that were pruned and in the lake alone, which are no
-- longer counted as pruned. To be run before their ids are noted.
-- Grain and key: (tenant_id, received_day, occurred_day, reason). Parameters: tenant_id text.
WITH found AS (
    SELECT
        erased.event_id,
        (erased.received_at AT TIME ZONE 'UTC')::date AS received_day,
        (erased.occurred_at AT TIME ZONE 'UTC')::date AS occurred_day,
        ('x' || right(erased.event_id::text, 12))::bit(48)::bigint AS id_end,
        NOT erased.stored AS pruned
    FROM erased_events AS erased
    WHERE erased.stored
        OR EXISTS (
            SELECT
            FROM removed_event_ids AS removed
            WHERE removed.event_id = erased.event_id
                AND removed.tenant_id = %(tenant_id)s
        )
),

bookings AS (
    SELECT
        received_day,
        occurred_day,
        'erased' AS reason,
        1 AS sign,
        id_end
    FROM found
    UNION ALL
    SELECT
        received_day,
        occurred_day,
        'pruned',
        -1,
        id_end
    FROM found
    WHERE pruned
)

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
    %(tenant_id)s,
    received_day,
    occurred_day,
    reason,
    sum(sign),
    sum(sign * id_end),
    bit_xor(id_end)
FROM bookings
GROUP BY
    received_day,
    occurred_day,
    reason
ORDER BY
    received_day,
    occurred_day,
    reason
ON CONFLICT (tenant_id, received_day, occurred_day, reason) DO UPDATE SET
    events = removed_events.events + excluded.events,
    id_sum = removed_events.id_sum + excluded.id_sum,
    id_xor = removed_events.id_xor # excluded.id_xor
