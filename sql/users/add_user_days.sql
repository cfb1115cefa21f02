-- Adds some days to user_days; '' is nobody.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day).
-- Parameters: paths text[] (of the days), oldest, newest timestamptz (both valid), parts integer.
INSERT INTO user_days
SELECT
    hash(anonymous_user_id) % $parts AS part,
    tenant_id,
    anonymous_user_id,
    day,
    min(occurred_at) AS first_moment,
    max(occurred_at) AS last_moment,
    coalesce(list(occurred_at) FILTER (WHERE event_name = 'session_submitted'), []) AS session_moments,
    max(received_at) AS received_at
FROM read_parquet($paths, hive_partitioning = true)
WHERE occurred_at BETWEEN $oldest AND $newest
    AND anonymous_user_id <> ''
GROUP BY
    tenant_id,
    anonymous_user_id,
    day
