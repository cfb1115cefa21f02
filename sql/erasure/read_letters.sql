-- Reads a tenant's dead letters, to look for a person in each.
-- Grain and key: (id), ascending.
-- Parameters: tenant_id text.
SELECT
    id,
    received_at,
    reason,
    envelope,
    event
FROM dead_letters
WHERE tenant_id = %(tenant_id)s
ORDER BY id
