-- Adds some days to funnel_activity: users ('' is none) and events per step, overall and per variant stamped. Should
-- ids with colons give two variants one dimension_key, the one whose experiment_id sorts first stays.
-- Grain and key: (tenant_id, day, funnel_name, step_name, dimension_key). Parameters: as daily_activity.
INSERT INTO funnel_activity
WITH per_user AS MATERIALIZED (
    SELECT
        events.tenant_id,
        events.day,
        funnel_steps.funnel_name,
        funnel_steps.step_name,
        events.anonymous_user_id,
        events.experiment_map,
        count(*) AS events
    FROM read_parquet($paths, hive_partitioning = true) AS events
    INNER JOIN funnel_steps
        ON funnel_steps.event_name = events.event_name
    WHERE events.occurred_at BETWEEN $oldest AND $newest
    GROUP BY
        events.tenant_id,
        events.day,
        funnel_steps.funnel_name,
        funnel_steps.step_name,
        events.anonymous_user_id,
        events.experiment_map
),

per_variant AS (
    SELECT
        tenant_id,
        day,
        funnel_name,
        step_name,
        anonymous_user_id,
        unnest(map_entries(experiment_map)) AS entry,
        events
    FROM per_user
)

SELECT
    tenant_id,
    day,
    funnel_name,
    step_name,
    'overall' AS dimension_key,
    NULL AS experiment_id,
    NULL AS variant_id,
    count(DISTINCT anonymous_user_id) FILTER (WHERE anonymous_user_id <> '') AS users_count,
    sum(events) AS events_count
FROM per_user
GROUP BY
    tenant_id,
    day,
    funnel_name,
    step_name
UNION ALL
SELECT
    tenant_id,
    day,
    funnel_name,
    step_name,
    entry.key || ':' || entry.value AS dimension_key,
    entry.key AS experiment_id,
    entry.value AS variant_id,
    count(DISTINCT anonymous_user_id) FILTER (WHERE anonymous_user_id <> '') AS users_count,
    sum(events) AS events_count
FROM per_variant
WHERE entry.value IS NOT NULL
GROUP BY
    tenant_id,
    day,
    funnel_name,
    step_name,
    entry.key,
    entry.value
QUALIFY row_number() OVER (
    PARTITION BY tenant_id, day, funnel_name, step_name, dimension_key ORDER BY entry.key
) = 1
