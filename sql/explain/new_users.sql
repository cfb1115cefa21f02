-- Users whose earliest valid event, over the whole history, is on the day.
-- Grain: one row, one number.
-- Parameters: paths text[] (all valid days up to the day), tenant_id text, day_start, day_end, oldest, newest
--     timestamptz.
WITH first_events AS (
    SELECT
        anonymous_user_id,
        min(occurred_at) AS first_seen
    FROM read_parquet($paths)
    WHERE tenant_id = $tenant_id
        AND occurred_at BETWEEN $oldest AND $newest
        AND anonymous_user_id <> ''
    GROUP BY anonymous_user_id
)

SELECT count(*) AS new_users
FROM first_events
WHERE first_seen >= $day_start
    AND first_seen < $day_end
