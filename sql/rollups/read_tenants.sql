-- Reads the tenants (Postgres).
-- Grain: one row per tenant; key tenant_id.
-- Parameters: none.
SELECT tenant_id
FROM tenants
ORDER BY tenant_id
