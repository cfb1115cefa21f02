-- Makes funnel_events, at first of the entries of some days. Times are microseconds of the epoch.
-- Grain: one row per event and funnel.
-- Parameters: paths text[] (of the days), oldest, newest timestamptz.
CREATE OR REPLACE TABLE funnel_events AS
SELECT
    funnel_people.person,
    funnel_steps.step_number,
    epoch_us(events.occurred_at) AS at_us,
    epoch_us(events.occurred_at) + funnel_people.window_us AS until_us,
    CAST(funnel_stamps.stamp AS BIGINT) AS stamp
FROM read_parquet($paths) AS events
INNER JOIN funnel_steps
    ON funnel_steps.event_name = events.event_name
INNER JOIN funnel_people
    ON funnel_people.tenant_id = events.tenant_id
    AND funnel_people.anonymous_user_id = events.anonymous_user_id
    AND funnel_people.funnel_name = funnel_steps.funnel_name
INNER JOIN funnel_stamps
    ON funnel_stamps.experiment_map = coalesce(events.experiment_map, MAP {})
WHERE funnel_steps.step_number = 1
    AND events.occurred_at BETWEEN $oldest AND $newest
