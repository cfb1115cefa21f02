-- Daily metrics of a window as JSON, and the runs that published them: a list of {day, overall: {metric name: value},
-- volumes: {event name: events}}, where overall or volumes may be null.
-- Grain: one row; its list has an object per day with any metric, in that order; the names within have none.
-- Parameters: tenant_id text, first_day, last_day date (both included).
WITH published AS (
    SELECT
        daily_metric_rollups.day,
        daily_metric_rollups.metric_name,
        daily_metric_rollups.dimension_key,
        daily_metric_rollups.value,
        daily_metric_rollups.run_id
    FROM daily_metric_rollups
    WHERE daily_metric_rollups.tenant_id = %(tenant_id)s
        AND daily_metric_rollups.day BETWEEN %(first_day)s AND %(last_day)s
),

days AS (
    SELECT
        published.day,
        json_object_agg(published.metric_name, published.value) FILTER (
            WHERE published.metric_name <> 'event_volume_by_name'
                AND published.dimension_key = 'overall'
        ) AS overall,
        json_object_agg(published.dimension_key, published.value) FILTER (
            WHERE published.metric_name = 'event_volume_by_name'
        ) AS volumes
    FROM published
    GROUP BY published.day
)

SELECT
    coalesce(json_agg(days ORDER BY days.day), '[]')::text AS days,
    ARRAY(SELECT DISTINCT published.run_id FROM published) AS run_ids
FROM days
