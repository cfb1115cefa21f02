-- Makes new_activity: who was active on which day, by the events that count now and did not at the last advance.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day); the user '' is nobody.
-- Parameters: new_paths text[] (files added since), matured_paths text[] (days that held events of the future),
-- oldest, newest timestamptz (both valid), seen_until timestamptz (newest of the last advance).
CREATE OR REPLACE TABLE new_activity AS
SELECT DISTINCT
    tenant_id,
    anonymous_user_id,
    day
FROM read_parquet($new_paths, hive_partitioning = true)
WHERE occurred_at BETWEEN $oldest AND $newest
UNION
SELECT DISTINCT
    tenant_id,
    anonymous_user_id,
    day
FROM read_parquet($matured_paths, hive_partitioning = true)
WHERE occurred_at BETWEEN $oldest AND $newest
    AND occurred_at > $seen_until
