-- Makes new_users from cohort_users: their earliest valid event is the first on their cohort day.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: paths text[] (the files of the days), oldest, newest timestamptz.
CREATE TABLE new_users AS
SELECT
    events.tenant_id,
    events.anonymous_user_id,
    min(events.occurred_at) AS first_seen
FROM read_parquet($paths, hive_partitioning = true) AS events
INNER JOIN cohort_users
    ON cohort_users.tenant_id = events.tenant_id
    AND cohort_users.anonymous_user_id = events.anonymous_user_id
    AND cohort_users.cohort_day = events.day
WHERE events.occurred_at BETWEEN $oldest AND $newest
GROUP BY
    events.tenant_id,
    events.anonymous_user_id
