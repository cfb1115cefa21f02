-- Makes new_activity: the facts of each user's day, from the events that count now and did not at the last advance: those
-- of added files, and whatever has become valid since. The two are told apart by the moment: no event is in both.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day); the user '' is nobody. Parameters: new_paths text[]
-- (files added since), matured_paths text[] (the days after seen_until), oldest, newest, seen_until timestamptz (newest
-- of the last advance).
CREATE OR REPLACE TABLE new_activity AS
WITH events AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        day,
        event_name,
        occurred_at,
        received_at
    FROM read_parquet($new_paths, hive_partitioning = true)
    WHERE occurred_at BETWEEN $oldest AND $seen_until
    UNION ALL
    SELECT
        tenant_id,
        anonymous_user_id,
        day,
        event_name,
        occurred_at,
        received_at
    FROM read_parquet($matured_paths, hive_partitioning = true)
    WHERE occurred_at > $seen_until
        AND occurred_at <= $newest
)

SELECT
    tenant_id,
    anonymous_user_id,
    day,
    min(occurred_at) AS first_moment,
    max(occurred_at) AS last_moment,
    coalesce(list(occurred_at) FILTER (WHERE event_name = 'session_submitted'), []) AS session_moments,
    max(received_at) AS received_at
FROM events
GROUP BY
    tenant_id,
    anonymous_user_id,
    day
