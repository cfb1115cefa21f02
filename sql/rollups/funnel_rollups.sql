-- Makes the rows of funnel_rollups from funnel_activity.
-- Grain and key: (tenant_id, day, funnel_name, step_name, dimension_key); a row `overall` for every tenant, day and step.
-- Parameters: none.
WITH steps AS (
    SELECT DISTINCT
        funnel_name,
        step_name
    FROM funnel_steps
)

SELECT
    tenants.tenant_id,
    days.day,
    steps.funnel_name,
    steps.step_name,
    'overall' AS dimension_key,
    CAST(NULL AS VARCHAR) AS experiment_id,
    CAST(NULL AS VARCHAR) AS variant_id,
    coalesce(funnel_activity.users_count, 0) AS users_count,
    coalesce(funnel_activity.events_count, 0) AS events_count
FROM tenants
CROSS JOIN days
CROSS JOIN steps
LEFT JOIN funnel_activity
    ON funnel_activity.tenant_id = tenants.tenant_id
    AND funnel_activity.day = days.day
    AND funnel_activity.funnel_name = steps.funnel_name
    AND funnel_activity.step_name = steps.step_name
    AND funnel_activity.dimension_key = 'overall'
UNION ALL
SELECT
    funnel_activity.tenant_id,
    funnel_activity.day,
    funnel_activity.funnel_name,
    funnel_activity.step_name,
    funnel_activity.dimension_key,
    funnel_activity.experiment_id,
    funnel_activity.variant_id,
    funnel_activity.users_count,
    funnel_activity.events_count
FROM funnel_activity
INNER JOIN tenants
    ON tenants.tenant_id = funnel_activity.tenant_id
WHERE funnel_activity.dimension_key <> 'overall'
