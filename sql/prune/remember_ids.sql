-- Notes the ids of events that are about to be removed; those that are noted already stay as they are.
-- Grain and key: (tenant_id, event_id).
-- Parameters: tenant_ids text[], event_ids uuid[] (of the same length).
INSERT INTO removed_event_ids (
    event_id,
    tenant_id
)
SELECT
    wanted.event_id,
    wanted.tenant_id
FROM unnest(%(tenant_ids)s::text[], %(event_ids)s::uuid[]) AS wanted (tenant_id, event_id)
WHERE NOT EXISTS (
    SELECT
    FROM removed_event_ids AS removed
    WHERE removed.event_id = wanted.event_id
        AND removed.tenant_id = wanted.tenant_id
    OFFSET 0
)
