-- Makes a tenant; no row when it is there already.
-- Grain: at most one row, the new tenant. Key: tenant_id.
-- Parameters: tenant_id, name text.
INSERT INTO tenants (
    tenant_id,
    name
)
VALUES (
    %(tenant_id)s,
    %(name)s
)
ON CONFLICT (tenant_id) DO NOTHING
RETURNING
    tenant_id,
    name,
    created_at,
    rate_limits,
    cors_origins,
    hot_days
