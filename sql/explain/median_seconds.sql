-- Median seconds between the step before and this one, of users who entered an ordered funnel on the day.
-- Grain: one row, one number; null without users, and for the first step.
-- Parameters: paths text[] (the day and its window), steps text[][] (event names by step), step_number integer,
--     window_seconds double, tenant_id, experiment_id, variant_id text (NULL: overall), day_start, day_end, oldest,
--     newest timestamptz.
WITH RECURSIVE events AS (
    SELECT
        anonymous_user_id,
        occurred_at,
        event_name,
        experiment_map
    FROM read_parquet($paths)
    WHERE tenant_id = $tenant_id
        AND occurred_at BETWEEN $oldest AND $newest
        AND anonymous_user_id <> ''
        AND list_contains(flatten($steps), event_name)
),

chains AS (
    SELECT DISTINCT
        anonymous_user_id,
        occurred_at AS entered_at,
        1 AS step_number,
        occurred_at AS reached_at,
        CAST(NULL AS DOUBLE) AS seconds
    FROM events
    WHERE list_contains(($steps)[1], event_name)
        AND occurred_at >= $day_start
        AND occurred_at < $day_end
        AND ($experiment_id IS NULL OR experiment_map[$experiment_id] = $variant_id)
    UNION ALL
    SELECT
        chains.anonymous_user_id,
        chains.entered_at,
        chains.step_number + 1,
        min(events.occurred_at),
        (epoch_us(min(events.occurred_at)) - epoch_us(chains.reached_at)) / 1e6
    FROM chains
    INNER JOIN events
        ON events.anonymous_user_id = chains.anonymous_user_id
        AND list_contains(($steps)[chains.step_number + 1], events.event_name)
        AND events.occurred_at >= chains.reached_at
        AND epoch_us(events.occurred_at) <= epoch_us(chains.entered_at) + $window_seconds * 1e6
    GROUP BY
        chains.anonymous_user_id,
        chains.entered_at,
        chains.step_number,
        chains.reached_at
),

furthest AS (
    SELECT
        anonymous_user_id,
        max((step_number, entered_at)) AS best
    FROM chains
    GROUP BY anonymous_user_id
)

SELECT median(chains.seconds) AS median_seconds
FROM furthest
INNER JOIN chains
    ON chains.anonymous_user_id = furthest.anonymous_user_id
    AND chains.entered_at = furthest.best[2]
WHERE chains.step_number = $step_number
