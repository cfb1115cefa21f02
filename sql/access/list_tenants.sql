-- All tenants with their terms.
-- Grain: one row per tenant, in order of tenant_id.
-- Parameters: none.
SELECT
    tenant_id,
    name,
    created_at,
    rate_limits,
    cors_origins,
    hot_days
FROM tenants
ORDER BY tenant_id
