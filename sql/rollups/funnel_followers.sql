-- Adds to funnel_events the events that can follow the entries: all steps but the first, of those who entered.
-- Grain: one row per event and funnel. Parameters: paths text[] (of the days and those that windows reach), oldest,
-- newest, entries_end timestamptz (exclusive).
INSERT INTO funnel_events
SELECT
    funnel_people.person,
    funnel_steps.step_number,
    epoch_us(events.occurred_at) AS at_us,
    NULL AS until_us,
    NULL AS stamp
FROM read_parquet($paths) AS events
INNER JOIN funnel_steps
    ON funnel_steps.event_name = events.event_name
INNER JOIN funnel_people
    ON funnel_people.tenant_id = events.tenant_id
    AND funnel_people.anonymous_user_id = events.anonymous_user_id
    AND funnel_people.funnel_name = funnel_steps.funnel_name
WHERE funnel_steps.step_number > 1
    AND events.occurred_at BETWEEN $oldest AND $newest
    AND epoch_us(events.occurred_at) < epoch_us($entries_end) + funnel_people.window_us
