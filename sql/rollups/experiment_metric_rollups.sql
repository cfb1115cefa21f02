-- Makes the rows of experiment_metric_rollups from variants and assigned_users.
-- Grain and key: (tenant_id, day, experiment_id, variant_id, metric_name); every variant, day and metric has a row.
-- Parameters: none.
WITH variant_days AS (
    SELECT
        variants.tenant_id,
        days.day,
        variants.experiment_id,
        variants.variant_id,
        coalesce(sum(assigned_users.users) FILTER (WHERE assigned_users.assigned_day <= days.day), 0) AS assigned,
        coalesce(sum(assigned_users.users) FILTER (WHERE assigned_users.cohort_day = days.day), 0) AS cohort_size,
        coalesce(sum(assigned_users.active_d1) FILTER (WHERE assigned_users.cohort_day = days.day), 0) AS active_d1,
        coalesce(sum(assigned_users.sessions_d7) FILTER (WHERE assigned_users.cohort_day = days.day), 0) AS sessions_d7,
        coalesce(sum(assigned_users.converted) FILTER (WHERE assigned_users.cohort_day = days.day), 0) AS converted
    FROM variants
    INNER JOIN tenants
        ON tenants.tenant_id = variants.tenant_id
    CROSS JOIN days
    LEFT JOIN assigned_users
        ON assigned_users.tenant_id = variants.tenant_id
        AND assigned_users.experiment_id = variants.experiment_id
        AND assigned_users.variant_id = variants.variant_id
    GROUP BY
        variants.tenant_id,
        days.day,
        variants.experiment_id,
        variants.variant_id
)

SELECT
    tenant_id,
    day,
    experiment_id,
    variant_id,
    'users_assigned' AS metric_name,
    CAST(assigned AS DOUBLE) AS value,
    json_object('day', CAST(day AS VARCHAR), 'cohort_size', CAST(cohort_size AS BIGINT)) AS dimensions
FROM variant_days
UNION ALL
SELECT
    tenant_id,
    day,
    experiment_id,
    variant_id,
    'users_active_d1',
    CAST(active_d1 AS DOUBLE),
    json_object('day', CAST(day AS VARCHAR), 'cohort_size', CAST(cohort_size AS BIGINT))
FROM variant_days
UNION ALL
SELECT
    tenant_id,
    day,
    experiment_id,
    variant_id,
    'sessions_submitted_d7',
    CAST(sessions_d7 AS DOUBLE),
    json_object('day', CAST(day AS VARCHAR), 'cohort_size', CAST(cohort_size AS BIGINT))
FROM variant_days
UNION ALL
SELECT
    tenant_id,
    day,
    experiment_id,
    variant_id,
    'logging_rate_24h_by_variant',
    CASE WHEN cohort_size = 0 THEN 0.0 ELSE CAST(converted AS DOUBLE) / CAST(cohort_size AS DOUBLE) END,
    json_object(
        'day', CAST(day AS VARCHAR),
        'cohort_size', CAST(cohort_size AS BIGINT),
        'converted_users', CAST(converted AS BIGINT)
    )
FROM variant_days
