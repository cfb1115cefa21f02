-- Makes cohort_metrics: the rows of daily_metric_rollups that depend on new users alone, from new_users.
-- Grain and key: (tenant_id, day, metric_name); a row for every tenant, day and metric.
-- Parameters: none.
CREATE OR REPLACE TABLE cohort_metrics AS
WITH cohorts AS (
    SELECT
        tenant_id,
        day,
        count(*) AS cohort_size,
        count(*) FILTER (WHERE converted) AS converted_users
    FROM new_users
    GROUP BY
        tenant_id,
        day
),

tenant_days AS (
    SELECT
        tenants.tenant_id,
        days.day,
        coalesce(cohorts.cohort_size, 0) AS cohort_size,
        coalesce(cohorts.converted_users, 0) AS converted_users
    FROM tenants
    CROSS JOIN days
    LEFT JOIN cohorts
        ON cohorts.tenant_id = tenants.tenant_id
        AND cohorts.day = days.day
)

SELECT
    tenant_id,
    day,
    'new_users' AS metric_name,
    'overall' AS dimension_key,
    CAST(cohort_size AS DOUBLE) AS value,
    CAST(NULL AS VARCHAR) AS dimensions
FROM tenant_days
UNION ALL
SELECT
    tenant_id,
    day,
    'logging_rate_24h',
    'overall',
    CASE WHEN cohort_size = 0 THEN 0.0 ELSE CAST(converted_users AS DOUBLE) / cohort_size END,
    json_object('cohort_size', cohort_size, 'converted_users', converted_users)
FROM tenant_days
