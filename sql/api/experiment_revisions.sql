-- The revisions of some tenants' experiments; one changes with every change to an experiment or a variant.
-- Grain: one row per tenant given. Key: tenant_id.
-- Parameters: tenants text[].
SELECT
    given.tenant_id,
    experiments_revision(given.tenant_id) AS revision
FROM unnest(%(tenants)s::text []) AS given (tenant_id)
