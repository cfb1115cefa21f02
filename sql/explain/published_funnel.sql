-- One published funnel step.
-- Grain: one row, or none.
-- Parameters: tenant_id text, day date, funnel_name, step_name, dimension_key text.
SELECT
    funnel_rollups.users_count,
    funnel_rollups.events_count,
    funnel_rollups.experiment_id,
    funnel_rollups.variant_id,
    funnel_rollups.run_id
FROM funnel_rollups
WHERE funnel_rollups.tenant_id = %(tenant_id)s
    AND funnel_rollups.day = %(day)s
    AND funnel_rollups.funnel_name = %(funnel_name)s
    AND funnel_rollups.step_name = %(step_name)s
    AND funnel_rollups.dimension_key = %(dimension_key)s
