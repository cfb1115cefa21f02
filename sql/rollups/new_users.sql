-- Makes new_users: who has their earliest valid event, over the whole valid history, within the window; '' is none.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: paths text[] (all valid days up to the window's last), oldest, newest, window_start, window_end timestamptz.
CREATE TABLE new_users AS
SELECT
    tenant_id,
    anonymous_user_id,
    min(occurred_at) AS first_seen
FROM read_parquet($paths)
WHERE occurred_at BETWEEN $oldest AND $newest
    AND anonymous_user_id <> ''
GROUP BY
    tenant_id,
    anonymous_user_id
HAVING min(occurred_at) >= $window_start
    AND min(occurred_at) < $window_end
