-- Overall metrics of the latest day that has any in a window, and the window's submitted sessions.
-- Grain: one row per metric; sessions_submitted_total has no row of its own day. Key: metric_name.
-- Parameters: tenant_id text, first_day, last_day date (both included).
WITH window_rows AS (
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

latest AS (
    SELECT max(window_rows.day) AS day
    FROM window_rows
)

SELECT
    latest.day,
    window_rows.metric_name,
    window_rows.value,
    ARRAY[window_rows.run_id] AS run_ids
FROM latest
INNER JOIN window_rows
    ON window_rows.day = latest.day
    AND window_rows.dimension_key = 'overall'
    AND window_rows.metric_name IN ('logging_rate_24h', 'dau', 'ingestion_lag_p50', 'ingestion_lag_p95')
UNION ALL
SELECT
    latest.day,
    'sessions_submitted_total',
    coalesce(sum(window_rows.value) FILTER (WHERE window_rows.metric_name = 'sessions_submitted'), 0),
    array_agg(DISTINCT window_rows.run_id) FILTER (WHERE window_rows.metric_name = 'sessions_submitted')
FROM latest
INNER JOIN window_rows
    ON TRUE
GROUP BY latest.day
