-- Finds which of some events of the lake are in the lake alone: pruned, and not in Postgres.
-- Grain: one row per event found, its position among those asked for (from 0). Erased events are in no lake.
-- Parameters: tenant_ids text[], event_ids uuid[] (of the same length).
SELECT
    wanted.position - 1 AS position
FROM unnest(%(tenant_ids)s::text[], %(event_ids)s::uuid[])
    WITH ORDINALITY AS wanted (tenant_id, event_id, position)
WHERE EXISTS (
    SELECT
    FROM removed_event_ids AS removed
    WHERE removed.event_id = wanted.event_id
        AND removed.tenant_id = wanted.tenant_id
    OFFSET 0
)
    AND NOT EXISTS (
        SELECT
        FROM event_logs
        WHERE event_logs.event_id = wanted.event_id
            AND event_logs.tenant_id = wanted.tenant_id
        OFFSET 0
    )
