-- Stores a new key; no row is affected when there is no such tenant.
-- Grain and key: key_id.
-- Parameters: key_id, tenant_id, name text, digest bytea (SHA-256 of the key), scopes text[], expires_at timestamptz.
INSERT INTO api_keys (
    key_id,
    tenant_id,
    name,
    digest,
    scopes,
    expires_at
)
SELECT
    %(key_id)s,
    tenants.tenant_id,
    %(name)s,
    %(digest)s,
    %(scopes)s::text [],
    %(expires_at)s::timestamptz
FROM tenants
WHERE tenants.tenant_id = %(tenant_id)s
