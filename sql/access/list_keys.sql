-- The keys of a tenant, or of all, whether they are valid or not.
-- Grain: one row per key, the oldest first. Key: key_id.
-- Parameters: tenant_id text (null: of all tenants).
SELECT
    key_id,
    tenant_id AS tenant,
    name,
    scopes,
    created_at,
    expires_at,
    revoked_at,
    successor
FROM api_keys
WHERE %(tenant_id)s::text IS NULL
    OR tenant_id = %(tenant_id)s
ORDER BY
    created_at,
    key_id
