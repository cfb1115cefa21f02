-- Logging rate of each experiment's variants on the latest day with experiment metrics in a window.
-- Grain and key: one row per experiment and variant, in that order.
-- Parameters: tenant_id text, first_day, last_day date (both included).
SELECT
    experiment_metric_rollups.experiment_id,
    experiment_metric_rollups.variant_id,
    experiment_metric_rollups.day,
    experiment_metric_rollups.value,
    experiment_metric_rollups.run_id
FROM experiment_metric_rollups
WHERE experiment_metric_rollups.tenant_id = %(tenant_id)s
    AND experiment_metric_rollups.metric_name = 'logging_rate_24h_by_variant'
    AND experiment_metric_rollups.day = (
        SELECT max(latest.day)
        FROM experiment_metric_rollups AS latest
        WHERE latest.tenant_id = %(tenant_id)s
            AND latest.day BETWEEN %(first_day)s AND %(last_day)s
    )
ORDER BY
    experiment_metric_rollups.experiment_id,
    experiment_metric_rollups.variant_id
