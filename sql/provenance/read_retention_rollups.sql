-- Reads the rows of retention_rollups that a run published and no later run has replaced.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: run_id uuid.
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
WHERE run_id = %(run_id)s
