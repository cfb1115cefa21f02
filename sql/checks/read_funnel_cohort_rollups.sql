-- Reads the published rows of funnel_cohort_rollups, without their runs.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: days date[].
SELECT
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    step_number,
    experiment_id,
    variant_id,
    users_count,
    median_seconds,
    window_seconds,
    complete_at
FROM funnel_cohort_rollups
WHERE day = ANY(%(days)s::date[])
