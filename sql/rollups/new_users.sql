-- Makes new_users: who has their earliest valid event, over the whole valid history, within the window; '' is none. day is
-- that of first_seen; converted: with a session submitted within 24 hours, both ends included.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: paths text[] (all valid days up to the one after the window), oldest, newest, window_start, window_end
-- timestamptz.
CREATE TABLE new_users AS
SELECT
    tenant_id,
    anonymous_user_id,
    first_seen,
    CAST(first_seen AS DATE) AS day,
    coalesce(first_submitted <= first_seen + INTERVAL 24 HOURS, false) AS converted
FROM (
    SELECT
        tenant_id,
        anonymous_user_id,
        min(occurred_at) AS first_seen,
        min(occurred_at) FILTER (WHERE event_name = 'session_submitted') AS first_submitted
    FROM read_parquet($paths)
    WHERE occurred_at BETWEEN $oldest AND $newest
        AND anonymous_user_id <> ''
    GROUP BY
        tenant_id,
        anonymous_user_id
)
WHERE first_seen >= $window_start
    AND first_seen < $window_end
