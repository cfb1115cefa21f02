-- Streams a run's rows into retention_rollups.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs, then run_id.
-- Parameters: none (rows follow through COPY).
COPY retention_rollups (
    tenant_id,
    day,
    days_after,
    dimension_key,
    experiment_id,
    variant_id,
    cohort_size,
    retained_users,
    complete_at,
    run_id
) FROM STDIN
