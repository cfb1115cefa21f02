-- Of the users who are new on the day and hold the variant, those with an event in the 24 hours after their first.
-- Grain: one row, one number.
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
)

SELECT count(DISTINCT anonymous_user_id) AS users_active_d1
FROM events
WHERE first_seen >= $day_start
    AND first_seen < $day_end
    AND occurred_at > first_seen
    AND occurred_at <= first_seen + INTERVAL 24 HOURS
