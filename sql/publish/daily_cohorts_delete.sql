-- Deletes the rows of some metrics from days of daily_metric_rollups, whatever run published them.
-- Grain: all tenants' rows of these days and metrics.
-- Parameters: days date[], metrics text[].
DELETE FROM daily_metric_rollups
WHERE day = ANY(%(days)s::date[])
    AND metric_name = ANY(%(metrics)s::text[])
