-- Reads the overall daily metrics of one day.
-- Grain: one row per metric. Key: metric_name.
-- Parameters: day (date).
SELECT
    metric_name,
    value
FROM daily_metric_rollups
WHERE tenant_id = 'default' AND day = %(day)s AND dimension_key = 'overall'
ORDER BY metric_name
