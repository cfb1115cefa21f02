-- Adds some days to user_days: which new users were active on them, so many days after their first.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day).
-- Parameters: paths text[] (of the days), oldest, newest timestamptz.
INSERT INTO user_days
SELECT DISTINCT
    events.tenant_id,
    events.anonymous_user_id,
    events.day
FROM read_parquet($paths, hive_partitioning = true) AS events
INNER JOIN new_users
    ON new_users.tenant_id = events.tenant_id
    AND new_users.anonymous_user_id = events.anonymous_user_id
WHERE events.occurred_at BETWEEN $oldest AND $newest
    AND events.day - new_users.day IN (SELECT days_after FROM retention_periods)
