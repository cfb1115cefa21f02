-- One published retention number.
-- Grain: one row, or none.
-- Parameters: tenant_id text, day date, days_after integer, dimension_key text.
SELECT
    retention_rollups.cohort_size,
    retention_rollups.retained_users,
    retention_rollups.rate,
    retention_rollups.experiment_id,
    retention_rollups.variant_id,
    retention_rollups.run_id
FROM retention_rollups
WHERE retention_rollups.tenant_id = %(tenant_id)s
    AND retention_rollups.day = %(day)s
    AND retention_rollups.days_after = %(days_after)s
    AND retention_rollups.dimension_key = %(dimension_key)s
