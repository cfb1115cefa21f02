-- The terms of all tenants.
-- Grain: one row per tenant. Key: tenant_id.
-- Parameters: none.
SELECT
    tenant_id,
    name,
    rate_limits,
    cors_origins
FROM tenant_terms()
