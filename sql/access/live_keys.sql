-- The keys of all tenants that are neither revoked nor expired.
-- Grain: one row per key. Key: key_id.
-- Parameters: none.
SELECT
    key_id,
    tenant_id,
    digest,
    scopes,
    expires_at
FROM live_keys()
