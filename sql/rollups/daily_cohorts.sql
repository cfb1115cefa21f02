-- Makes the rows of daily_metric_rollups that depend on new users alone: those of cohort_metrics.
-- Grain and key: (tenant_id, day, metric_name, dimension_key); a row for every tenant, day and metric.
-- Parameters: none.
SELECT
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions
FROM cohort_metrics
