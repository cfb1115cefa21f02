-- Ends a key now; one that has ended by this already keeps its time.
-- Grain: at most one row, the key as it is then. Key: key_id.
-- Parameters: key_id text, tenant_id text (null: of any tenant).
UPDATE api_keys SET
    revoked_at = coalesce(revoked_at, now())
WHERE key_id = %(key_id)s
    AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
RETURNING
    key_id,
    tenant_id AS tenant,
    name,
    scopes,
    created_at,
    expires_at,
    revoked_at,
    successor
