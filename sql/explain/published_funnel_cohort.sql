-- One published step of an ordered funnel.
-- Grain: one row, or none.
-- Parameters: tenant_id text, day date, funnel_name, step_name, dimension_key text.
SELECT
    funnel_cohort_rollups.users_count,
    funnel_cohort_rollups.median_seconds,
    funnel_cohort_rollups.step_number,
    funnel_cohort_rollups.window_seconds,
    funnel_cohort_rollups.experiment_id,
    funnel_cohort_rollups.variant_id,
    funnel_cohort_rollups.run_id
FROM funnel_cohort_rollups
WHERE funnel_cohort_rollups.tenant_id = %(tenant_id)s
    AND funnel_cohort_rollups.day = %(day)s
    AND funnel_cohort_rollups.funnel_name = %(funnel_name)s
    AND funnel_cohort_rollups.step_name = %(step_name)s
    AND funnel_cohort_rollups.dimension_key = %(dimension_key)s
