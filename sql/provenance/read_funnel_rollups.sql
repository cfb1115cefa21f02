-- Reads the rows of funnel_rollups that a run published and no later run has replaced.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: run_id uuid.
SELECT
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    experiment_id,
    variant_id,
    users_count,
    events_count
FROM funnel_rollups
WHERE run_id = %(run_id)s
