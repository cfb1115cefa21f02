-- Makes the rows of daily_metric_rollups from daily_activity, event_volume and cohort_metrics.
-- Grain and key: (tenant_id, day, metric_name, dimension_key); a row for every tenant, day and scalar metric.
-- Parameters: none.
WITH tenant_days AS (
    SELECT
        tenants.tenant_id,
        days.day,
        coalesce(daily_activity.users, 0) AS users,
        coalesce(daily_activity.lag_percentiles, [0.0, 0.0]) AS lag_percentiles,
        coalesce(event_volume.events, 0) AS sessions
    FROM tenants
    CROSS JOIN days
    LEFT JOIN daily_activity
        ON daily_activity.tenant_id = tenants.tenant_id
        AND daily_activity.day = days.day
    LEFT JOIN event_volume
        ON event_volume.tenant_id = tenants.tenant_id
        AND event_volume.day = days.day
        AND event_volume.event_name = 'session_submitted'
)

SELECT
    tenant_id,
    day,
    'dau' AS metric_name,
    'overall' AS dimension_key,
    CAST(users AS DOUBLE) AS value,
    CAST(NULL AS VARCHAR) AS dimensions
FROM tenant_days
UNION ALL
SELECT
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions
FROM cohort_metrics
UNION ALL
SELECT
    tenant_id,
    day,
    'sessions_submitted',
    'overall',
    CAST(sessions AS DOUBLE),
    NULL
FROM tenant_days
UNION ALL
SELECT
    tenant_id,
    day,
    'ingestion_lag_p50',
    'overall',
    lag_percentiles[1] / 1e6,
    json_object('unit', 'seconds')
FROM tenant_days
UNION ALL
SELECT
    tenant_id,
    day,
    'ingestion_lag_p95',
    'overall',
    lag_percentiles[2] / 1e6,
    json_object('unit', 'seconds')
FROM tenant_days
UNION ALL
SELECT
    event_volume.tenant_id,
    event_volume.day,
    'event_volume_by_name',
    event_volume.event_name,
    CAST(event_volume.events AS DOUBLE),
    json_object('event_name', event_volume.event_name, 'day', CAST(event_volume.day AS VARCHAR))
FROM event_volume
INNER JOIN tenants
    ON tenants.tenant_id = event_volume.tenant_id
