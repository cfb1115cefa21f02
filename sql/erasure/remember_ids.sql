-- Notes the ids of the erased events, so that none of them counts when a client sends it again.
-- Grain and key: (tenant_id, event_id).
-- Parameters: tenant_id text.
INSERT INTO removed_event_ids (
    event_id,
    tenant_id
)
SELECT
    erased.event_id,
    %(tenant_id)s
FROM erased_events AS erased
WHERE NOT EXISTS (
    SELECT
    FROM removed_event_ids AS removed
    WHERE removed.event_id = erased.event_id
        AND removed.tenant_id = %(tenant_id)s
)
