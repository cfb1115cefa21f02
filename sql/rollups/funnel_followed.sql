-- Makes funnel_followed: when each user of one bucket reached the steps after the first of an ordered funnel, as far as
-- the window of an entry before `entries_end` can reach. Persons and moments as in funnel_entered.
-- Grain: one row per event and funnel. Parameters: paths text[] (the files of the cohort days and of the days that
-- windows reach), oldest, newest, entries_end timestamptz (exclusive); salt, shift, buckets, bucket as funnel_people.
CREATE OR REPLACE TABLE funnel_followed AS
SELECT
    CAST(
        hash(
            events.tenant_id,
            CASE
                WHEN $salt = 0 THEN events.anonymous_user_id
                ELSE concat(events.anonymous_user_id, ' ', $salt)
            END
        ) >> $shift AS BIGINT
    ) * 64 + funnel_steps.funnel_number AS person,
    epoch_us(events.occurred_at) * 32 + funnel_steps.step_number AS moment
FROM read_parquet($paths) AS events
INNER JOIN funnel_steps
    ON funnel_steps.event_name = events.event_name
WHERE funnel_steps.ordered
    AND funnel_steps.step_number > 1
    AND events.anonymous_user_id <> ''
    AND events.occurred_at BETWEEN $oldest AND $newest
    AND epoch_us(events.occurred_at) - funnel_steps.window_us < epoch_us($entries_end)
    AND ($buckets = 1 OR hash(events.anonymous_user_id) % $buckets = $bucket)
