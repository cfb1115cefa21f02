-- Daily metrics of a window.
-- Grain: one row per day, metric and dimension. Key: (day, metric_name, dimension_key); in that order.
-- Parameters: tenant_id text, first_day, last_day date (both included).
SELECT
    daily_metric_rollups.day,
    daily_metric_rollups.metric_name,
    daily_metric_rollups.dimension_key,
    daily_metric_rollups.value,
    daily_metric_rollups.run_id
FROM daily_metric_rollups
WHERE daily_metric_rollups.tenant_id = %(tenant_id)s
    AND daily_metric_rollups.day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY
    daily_metric_rollups.day,
    daily_metric_rollups.metric_name COLLATE "C",
    daily_metric_rollups.dimension_key
