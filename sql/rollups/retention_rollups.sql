-- Makes the rows of retention_rollups from retention_cohorts: of every tenant, day and period `overall`, and of every
-- variant. Should ids with colons give two variants one dimension_key, the one whose experiment_id sorts first stays.
-- Grain and key: (tenant_id, day, days_after, dimension_key). complete_at: when the last day ends. Parameters: none.
WITH dimensions AS (
    SELECT
        tenant_id,
        'overall' AS dimension_key,
        CAST(NULL AS VARCHAR) AS experiment_id,
        CAST(NULL AS VARCHAR) AS variant_id
    FROM tenants
    UNION ALL
    SELECT
        variants.tenant_id,
        variants.experiment_id || ':' || variants.variant_id,
        variants.experiment_id,
        variants.variant_id
    FROM variants
    INNER JOIN tenants
        ON tenants.tenant_id = variants.tenant_id
    QUALIFY row_number() OVER (
        PARTITION BY variants.tenant_id, variants.experiment_id || ':' || variants.variant_id
        ORDER BY variants.experiment_id
    ) = 1
)

SELECT
    dimensions.tenant_id,
    days.day,
    retention_periods.days_after,
    dimensions.dimension_key,
    dimensions.experiment_id,
    dimensions.variant_id,
    coalesce(cohorts.users, 0) AS cohort_size,
    coalesce(retained.users, 0) AS retained_users,
    CAST(CAST(days.day + retention_periods.days_after + 1 AS TIMESTAMP) AS TIMESTAMPTZ) AS complete_at
FROM dimensions
CROSS JOIN days
CROSS JOIN retention_periods
LEFT JOIN retention_cohorts AS cohorts
    ON cohorts.tenant_id = dimensions.tenant_id
    AND cohorts.day = days.day
    AND cohorts.days_after = 0
    AND cohorts.experiment_id IS NOT DISTINCT FROM dimensions.experiment_id
    AND cohorts.variant_id IS NOT DISTINCT FROM dimensions.variant_id
LEFT JOIN retention_cohorts AS retained
    ON retained.tenant_id = dimensions.tenant_id
    AND retained.day = days.day
    AND retained.days_after = retention_periods.days_after
    AND retained.experiment_id IS NOT DISTINCT FROM dimensions.experiment_id
    AND retained.variant_id IS NOT DISTINCT FROM dimensions.variant_id
