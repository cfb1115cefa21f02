-- Makes funnel_journeys: when each user of one bucket reached which step of an ordered funnel; '' is nobody. A moment is
-- the microsecond of the epoch times 32 plus the number of the step: numbers in the order in which events count.
-- Grain and key: one row per (tenant_id, anonymous_user_id, funnel_number, experiment_map): the entries (step 1) by what
-- they carry, all other steps without. Parameters: entered, followed text[] (the files of some days, and of those and
-- the days that windows reach), oldest, newest, entries_end timestamptz (exclusive), buckets, bucket bigint.
CREATE OR REPLACE TABLE funnel_journeys AS
SELECT
    events.tenant_id,
    events.anonymous_user_id,
    funnel_steps.funnel_number,
    coalesce(events.experiment_map, MAP {}) AS experiment_map,
    list(epoch_us(events.occurred_at) * 32 + funnel_steps.step_number) AS moments
FROM read_parquet($entered) AS events
INNER JOIN funnel_steps
    ON funnel_steps.event_name = events.event_name
WHERE funnel_steps.ordered
    AND funnel_steps.step_number = 1
    AND events.anonymous_user_id <> ''
    AND events.occurred_at BETWEEN $oldest AND $newest
    AND ($buckets = 1 OR hash(events.anonymous_user_id) % $buckets = $bucket)
GROUP BY
    events.tenant_id,
    events.anonymous_user_id,
    funnel_steps.funnel_number,
    coalesce(events.experiment_map, MAP {})
UNION ALL
SELECT
    events.tenant_id,
    events.anonymous_user_id,
    funnel_steps.funnel_number,
    NULL AS experiment_map,
    list(epoch_us(events.occurred_at) * 32 + funnel_steps.step_number) AS moments
FROM read_parquet($followed) AS events
INNER JOIN funnel_steps
    ON funnel_steps.event_name = events.event_name
WHERE funnel_steps.ordered
    AND funnel_steps.step_number > 1
    AND events.anonymous_user_id <> ''
    AND events.occurred_at BETWEEN $oldest AND $newest
    AND epoch_us(events.occurred_at) - funnel_steps.window_us < epoch_us($entries_end)
    AND ($buckets = 1 OR hash(events.anonymous_user_id) % $buckets = $bucket)
GROUP BY
    events.tenant_id,
    events.anonymous_user_id,
    funnel_steps.funnel_number
