-- Adds some days to daily_activity: distinct users ('' is none), median and 95th percentile of lag in microseconds.
-- Grain and key: one row per (tenant_id, day). Exact percentiles do not spill to disk: never over many days at once.
-- Parameters: paths text[] (of the days), oldest, newest timestamptz.
INSERT INTO daily_activity
SELECT
    tenant_id,
    day,
    count(DISTINCT anonymous_user_id) FILTER (WHERE anonymous_user_id <> '') AS users,
    quantile_cont(greatest(epoch_us(received_at) - epoch_us(occurred_at), 0), [0.5, 0.95]) AS lag_percentiles
FROM read_parquet($paths, hive_partitioning = true)
WHERE occurred_at BETWEEN $oldest AND $newest
GROUP BY
    tenant_id,
    day
