-- Daily metrics of a window as JSON: a list of {day, overall: {metric name: value}, volumes: {event name: events}, run_ids}.
-- Grain: one row; its list has an object per day with any metric, in that order. overall or volumes may be null.
-- Parameters: tenant_id text, first_day, last_day date (both included).
WITH found AS (
    SELECT
        daily_metric_rollups.day,
        json_object_agg(
            daily_metric_rollups.metric_name, daily_metric_rollups.value
            ORDER BY daily_metric_rollups.metric_name COLLATE "C"
        ) FILTER (
            WHERE daily_metric_rollups.metric_name <> 'event_volume_by_name'
                AND daily_metric_rollups.dimension_key = 'overall'
        ) AS overall,
        json_object_agg(
            daily_metric_rollups.dimension_key, daily_metric_rollups.value
            ORDER BY daily_metric_rollups.dimension_key
        ) FILTER (WHERE daily_metric_rollups.metric_name = 'event_volume_by_name') AS volumes,
        array_agg(DISTINCT daily_metric_rollups.run_id) AS run_ids
    FROM daily_metric_rollups
    WHERE daily_metric_rollups.tenant_id = %(tenant_id)s
        AND daily_metric_rollups.day BETWEEN %(first_day)s AND %(last_day)s
    GROUP BY daily_metric_rollups.day
)

SELECT coalesce(json_agg(found ORDER BY found.day), '[]')::text AS days
FROM found
