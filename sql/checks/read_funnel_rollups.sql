-- Reads the published rows of funnel_rollups, without their runs.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: days date[].
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
WHERE day = ANY(%(days)s::date[])
