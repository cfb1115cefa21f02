-- Adds some days to funnel_activity: users and events per step, overall and per variant stamped on the events. An
-- experiment_id with a colon is left out: it could give two pairs one dimension_key.
-- Grain and key: (tenant_id, day, funnel_name, step_name, dimension_key). Parameters: as daily_activity.
INSERT INTO funnel_activity
WITH per_map AS MATERIALIZED (
    SELECT
        events.tenant_id,
        CAST(events.occurred_at AS DATE) AS day,
        funnel_steps.funnel_name,
        funnel_steps.step_name,
        events.anonymous_user_id,
        events.experiment_map,
        count(*) AS events
    FROM read_parquet($paths) AS events
    INNER JOIN funnel_steps
        ON funnel_steps.event_name = events.event_name
    WHERE events.occurred_at BETWEEN $oldest AND $newest
    GROUP BY
        events.tenant_id,
        CAST(events.occurred_at AS DATE),
        funnel_steps.funnel_name,
        funnel_steps.step_name,
        events.anonymous_user_id,
        events.experiment_map
),

per_user AS MATERIALIZED (
    SELECT
        tenant_id,
        day,
        funnel_name,
        step_name,
        anonymous_user_id,
        count(*) AS maps,
        any_value(experiment_map) AS experiment_map,
        sum(events) AS events
    FROM per_map
    GROUP BY
        tenant_id,
        day,
        funnel_name,
        step_name,
        anonymous_user_id
),

-- Almost every user has one map per day and step: these are counted per map, before the maps are taken apart.
of_one_map AS (
    SELECT
        tenant_id,
        day,
        funnel_name,
        step_name,
        unnest(map_entries(experiment_map)) AS entry,
        NULL AS anonymous_user_id,
        users,
        events
    FROM (
        SELECT
            tenant_id,
            day,
            funnel_name,
            step_name,
            experiment_map,
            count(*) AS users,
            sum(events) AS events
        FROM per_user
        WHERE maps = 1
        GROUP BY
            tenant_id,
            day,
            funnel_name,
            step_name,
            experiment_map
    ) AS counted
),

of_several_maps AS (
    SELECT
        per_map.tenant_id,
        per_map.day,
        per_map.funnel_name,
        per_map.step_name,
        unnest(map_entries(per_map.experiment_map)) AS entry,
        per_map.anonymous_user_id,
        0 AS users,
        per_map.events
    FROM per_map
    INNER JOIN per_user
        ON per_user.tenant_id = per_map.tenant_id
        AND per_user.day = per_map.day
        AND per_user.funnel_name = per_map.funnel_name
        AND per_user.step_name = per_map.step_name
        AND per_user.anonymous_user_id = per_map.anonymous_user_id
    WHERE per_user.maps > 1
),

per_variant AS (
    SELECT * FROM of_one_map
    UNION ALL
    SELECT * FROM of_several_maps
)

SELECT
    tenant_id,
    day,
    funnel_name,
    step_name,
    'overall' AS dimension_key,
    NULL AS experiment_id,
    NULL AS variant_id,
    count(*) AS users_count,
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
    entry.key,
    entry.value,
    sum(users) + count(DISTINCT anonymous_user_id),
    sum(events)
FROM per_variant
WHERE entry.value IS NOT NULL
    AND NOT contains(entry.key, ':')
GROUP BY
    tenant_id,
    day,
    funnel_name,
    step_name,
    entry.key,
    entry.value
