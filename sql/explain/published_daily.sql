-- One published daily metric.
-- Grain: one row, or none.
-- Parameters: tenant_id text, day date, metric_name, dimension_key text.
SELECT
    daily_metric_rollups.value,
    daily_metric_rollups.dimensions,
    daily_metric_rollups.run_id
FROM daily_metric_rollups
WHERE daily_metric_rollups.tenant_id = %(tenant_id)s
    AND daily_metric_rollups.day = %(day)s
    AND daily_metric_rollups.metric_name = %(metric_name)s
    AND daily_metric_rollups.dimension_key = %(dimension_key)s
