-- Reads the rows of daily_metric_rollups that a run published and no later run has replaced.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: run_id uuid.
SELECT
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions
FROM daily_metric_rollups
WHERE run_id = %(run_id)s
