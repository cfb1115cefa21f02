-- Makes new_user_activity: what each new user did after first_seen, for the metrics of experiments. Both ends of a span
-- of time are included, except that active_d1 begins after first_seen itself.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: paths text[] (the window's days and seven more), oldest, newest timestamptz.
CREATE TABLE new_user_activity AS
SELECT
    new_users.tenant_id,
    new_users.anonymous_user_id,
    new_users.day,
    new_users.converted,
    bool_or(
        events.occurred_at > new_users.first_seen
        AND events.occurred_at <= new_users.first_seen + INTERVAL 24 HOURS
    ) AS active_d1,
    count(*) FILTER (
        WHERE events.event_name = 'session_submitted'
            AND events.occurred_at <= new_users.first_seen + INTERVAL 168 HOURS
    ) AS sessions_d7
FROM read_parquet($paths) AS events
INNER JOIN new_users
    ON new_users.tenant_id = events.tenant_id
    AND new_users.anonymous_user_id = events.anonymous_user_id
WHERE events.occurred_at BETWEEN $oldest AND $newest
GROUP BY
    new_users.tenant_id,
    new_users.anonymous_user_id,
    new_users.first_seen,
    new_users.day,
    new_users.converted
