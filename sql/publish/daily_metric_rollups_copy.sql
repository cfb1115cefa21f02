-- Streams a run's rows into daily_metric_rollups.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs, then run_id.
-- Parameters: none (rows follow through COPY).
COPY daily_metric_rollups (
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions,
    run_id
) FROM STDIN
