-- Notes that an erasure was asked for; one that is resumed stays as it is.
-- Grain and key: erasure_id.
-- Parameters: erasure_id uuid, tenant_id text, requested_at timestamptz.
INSERT INTO erasures (
    erasure_id,
    tenant_id,
    requested_at
)
VALUES (
    %(erasure_id)s,
    %(tenant_id)s,
    %(requested_at)s
)
ON CONFLICT (erasure_id) DO NOTHING
