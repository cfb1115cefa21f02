-- Reads who was assigned to a variant, up to a moment (Postgres).
-- Grain: one row per user; key anonymous_user_id.
-- Parameters: tenant_id, experiment_id, variant_id text, until timestamptz (included).
SELECT
    anonymous_user_id,
    assigned_at
FROM assignments
WHERE tenant_id = %(tenant_id)s
    AND experiment_id = %(experiment_id)s
    AND variant_id = %(variant_id)s
    AND assigned_at <= %(until)s
ORDER BY anonymous_user_id
