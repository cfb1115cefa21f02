-- Streams a run's rows into experiment_metric_rollups.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs, then run_id.
-- Parameters: none (rows follow through COPY).
COPY experiment_metric_rollups (
    tenant_id,
    day,
    experiment_id,
    variant_id,
    metric_name,
    value,
    dimensions,
    run_id
) FROM STDIN
