-- Reads the published rows of daily_metric_rollups, without their runs.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: days date[].
SELECT
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions
FROM daily_metric_rollups
WHERE day = ANY(%(days)s::date[])
