-- Of the users who are new on the day and hold the variant, the share with a session_submitted within 24 hours.
-- Grain: one row, one number; 0 for an empty cohort.
-- Parameters: paths text[] (all valid days up to one after the day), assignments text[] (files with anonymous_user_id),
--     tenant_id text, day_start, day_end, oldest, newest timestamptz.
WITH events AS (
    SELECT
        anonymous_user_id,
        occurred_at,
        event_name,
        min(occurred_at) OVER (PARTITION BY anonymous_user_id) AS first_seen
    FROM read_parquet($paths)
    WHERE tenant_id = $tenant_id
        AND occurred_at BETWEEN $oldest AND $newest
        AND anonymous_user_id IN (SELECT anonymous_user_id FROM read_parquet($assignments))
        AND anonymous_user_id <> ''
),

cohort AS (
    SELECT
        anonymous_user_id,
        max(CASE
            WHEN event_name = 'session_submitted' AND occurred_at <= first_seen + INTERVAL 24 HOURS THEN 1 ELSE 0
        END) AS converted
    FROM events
    WHERE first_seen >= $day_start
        AND first_seen < $day_end
    GROUP BY anonymous_user_id
)

SELECT coalesce(avg(converted), 0) AS logging_rate_24h_by_variant
FROM cohort
