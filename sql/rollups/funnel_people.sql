-- Makes funnel_people: who enters which ordered funnel on some days, of one bucket of users, numbered; '' is nobody.
-- Grain and key: one row per (tenant_id, anonymous_user_id, funnel_name).
-- Parameters: paths text[] (of the days), oldest, newest timestamptz, buckets, bucket bigint.
CREATE OR REPLACE TABLE funnel_people AS
SELECT
    row_number() OVER () AS person,
    tenant_id,
    anonymous_user_id,
    funnel_name,
    window_us
FROM (
    SELECT DISTINCT
        events.tenant_id,
        events.anonymous_user_id,
        funnel_steps.funnel_name,
        funnel_steps.window_us
    FROM read_parquet($paths) AS events
    INNER JOIN funnel_steps
        ON funnel_steps.event_name = events.event_name
    WHERE funnel_steps.ordered
        AND funnel_steps.step_number = 1
        AND events.anonymous_user_id <> ''
        AND events.occurred_at BETWEEN $oldest AND $newest
        AND hash(events.anonymous_user_id) % $buckets = $bucket
)
