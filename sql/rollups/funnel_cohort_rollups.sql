-- Makes the rows of funnel_cohort_rollups from funnel_cohorts: of every tenant, day, ordered funnel and step `overall`,
-- and every step of each variant that somebody entered with on the day. complete_at: when the last window has passed.
-- Grain and key: (tenant_id, day, funnel_name, step_name, dimension_key). Parameters: none.
WITH steps AS (
    SELECT DISTINCT
        funnel_name,
        step_name,
        step_number,
        window_us
    FROM funnel_steps
    WHERE ordered
),

entered AS (
    SELECT
        tenants.tenant_id,
        days.day,
        steps.funnel_name,
        'overall' AS dimension_key,
        CAST(NULL AS VARCHAR) AS experiment_id,
        CAST(NULL AS VARCHAR) AS variant_id
    FROM tenants
    CROSS JOIN days
    CROSS JOIN steps
    WHERE steps.step_number = 1
    UNION ALL
    SELECT
        funnel_cohorts.tenant_id,
        funnel_cohorts.day,
        funnel_cohorts.funnel_name,
        funnel_cohorts.dimension_key,
        funnel_cohorts.experiment_id,
        funnel_cohorts.variant_id
    FROM funnel_cohorts
    INNER JOIN tenants
        ON tenants.tenant_id = funnel_cohorts.tenant_id
    WHERE funnel_cohorts.step_number = 1
        AND funnel_cohorts.dimension_key <> 'overall'
)

SELECT
    entered.tenant_id,
    entered.day,
    entered.funnel_name,
    steps.step_name,
    entered.dimension_key,
    steps.step_number,
    entered.experiment_id,
    entered.variant_id,
    coalesce(funnel_cohorts.users_count, 0) AS users_count,
    funnel_cohorts.median_seconds,
    steps.window_us / 1e6 AS window_seconds,
    CAST(
        CAST(entered.day + 1 AS TIMESTAMP) + to_microseconds(steps.window_us) AS TIMESTAMPTZ
    ) AS complete_at
FROM entered
INNER JOIN steps
    ON steps.funnel_name = entered.funnel_name
LEFT JOIN funnel_cohorts
    ON funnel_cohorts.tenant_id = entered.tenant_id
    AND funnel_cohorts.day = entered.day
    AND funnel_cohorts.funnel_name = entered.funnel_name
    AND funnel_cohorts.dimension_key = entered.dimension_key
    AND funnel_cohorts.step_number = steps.step_number
