-- Streams a run's rows into funnel_rollups.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs, then run_id.
-- Parameters: none (rows follow through COPY).
COPY funnel_rollups (
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    experiment_id,
    variant_id,
    users_count,
    events_count,
    run_id
) FROM STDIN
