-- Lists the tenants rows may belong to.
-- Grain and key: tenant_id.
-- Parameters: none.
SELECT tenant_id
FROM tenants
