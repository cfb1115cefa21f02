-- Reads a key for the transaction that replaces it; two of them take turns.
-- Grain: at most one row. Key: key_id.
-- Parameters: key_id text, tenant_id text (null: of any tenant).
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
WHERE key_id = %(key_id)s
    AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s)
FOR UPDATE
