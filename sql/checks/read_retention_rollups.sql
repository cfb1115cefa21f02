-- Reads the published rows of retention_rollups, without their runs.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: days date[].
SELECT
    tenant_id,
    day,
    days_after,
    dimension_key,
    experiment_id,
    variant_id,
    cohort_size,
    retained_users,
    complete_at
FROM retention_rollups
WHERE day = ANY(%(days)s::date[])
