-- Makes funnel_entered: when each user of one bucket entered which ordered funnel, and what the entry carries. A person
-- is the user's number in funnel_people times 64 plus the number of the funnel; a moment is the microsecond of the epoch
-- times 32 plus the number of the step: numbers in the order in which events count.
-- Grain: one row per event and funnel. Parameters: paths text[] (the files of the cohort days), oldest, newest
-- timestamptz; salt, shift, buckets, bucket as funnel_people.
CREATE OR REPLACE TABLE funnel_entered AS
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
    epoch_us(events.occurred_at) * 32 + funnel_steps.step_number AS moment,
    events.experiment_map
FROM read_parquet($paths) AS events
INNER JOIN funnel_steps
    ON funnel_steps.event_name = events.event_name
WHERE funnel_steps.ordered
    AND funnel_steps.step_number = 1
    AND events.anonymous_user_id <> ''
    AND events.occurred_at BETWEEN $oldest AND $newest
    AND ($buckets = 1 OR hash(events.anonymous_user_id) % $buckets = $bucket)
