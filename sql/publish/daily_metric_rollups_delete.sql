-- Deletes days of daily_metric_rollups, whatever run published it: rows whose cause has vanished vanish too.
-- Grain: all tenants' rows of these days.
-- Parameters: days date[].
DELETE FROM daily_metric_rollups
WHERE day = ANY(%(days)s::date[])
