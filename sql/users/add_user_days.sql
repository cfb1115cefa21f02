-- Adds some days to user_days; '' is nobody.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day).
-- Parameters: paths text[] (of the days), oldest, newest timestamptz (both valid).
INSERT INTO user_days
SELECT DISTINCT
    tenant_id,
    anonymous_user_id,
    day
FROM read_parquet($paths, hive_partitioning = true)
WHERE occurred_at BETWEEN $oldest AND $newest
    AND anonymous_user_id <> ''
