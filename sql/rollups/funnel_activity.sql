-- Adds one day to funnel_activity: users and events per step, overall and per variant stamped on the events. Ids with
-- colons can give two pairs one dimension_key; these share a row, under the pair whose experiment_id sorts first.
-- Grain and key: (tenant_id, day, funnel_name, step_name, dimension_key). Parameters: as daily_activity.
INSERT INTO funnel_activity
WITH per_user AS MATERIALIZED (
    SELECT
        events.tenant_id,
        events.anonymous_user_id,
        funnel_steps.funnel_name,
        funnel_steps.step_name,
        events.experiment_map,
        count(*) AS events
    FROM read_parquet($paths) AS events
    INNER JOIN funnel_steps
        ON funnel_steps.event_name = events.event_name
    WHERE events.occurred_at BETWEEN $oldest AND $newest
    GROUP BY
        events.tenant_id,
        events.anonymous_user_id,
        funnel_steps.funnel_name,
        funnel_steps.step_name,
        events.experiment_map
),

per_variant AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        funnel_name,
        step_name,
        unnest(map_entries(experiment_map)) AS entry,
        events
    FROM per_user
)

SELECT
    tenant_id,
    $day AS day,
    funnel_name,
    step_name,
    'overall' AS dimension_key,
    NULL AS experiment_id,
    NULL AS variant_id,
    count(DISTINCT anonymous_user_id) AS users_count,
    sum(events) AS events_count
FROM per_user
GROUP BY
    tenant_id,
    funnel_name,
    step_name
UNION ALL
SELECT
    tenant_id,
    $day,
    funnel_name,
    step_name,
    entry.key || ':' || entry.value AS dimension_key,
    min(entry.key),
    arg_min(entry.value, entry.key),
    count(DISTINCT anonymous_user_id),
    sum(events)
FROM per_variant
WHERE entry.value IS NOT NULL
GROUP BY
    tenant_id,
    funnel_name,
    step_name,
    entry.key || ':' || entry.value
