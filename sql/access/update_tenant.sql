-- Changes those of a tenant's terms that are given; no row when there is no such tenant.
-- Grain: at most one row, the tenant as it is then. Key: tenant_id.
-- Parameters: tenant_id, name text (null: as it is), limits jsonb (a null limit is removed), cors_origins text[] (null: as they are), hot_days integer (null: as it is, 0: none).
UPDATE tenants SET
    name = coalesce(%(name)s, name),
    rate_limits = jsonb_strip_nulls(rate_limits || %(limits)s),
    cors_origins = coalesce(%(cors_origins)s, cors_origins),
    hot_days = CASE
        WHEN %(hot_days)s::integer IS NULL THEN hot_days
        ELSE nullif(%(hot_days)s::integer, 0)
    END
WHERE tenant_id = %(tenant_id)s
RETURNING
    tenant_id,
    name,
    created_at,
    rate_limits,
    cors_origins,
    hot_days
