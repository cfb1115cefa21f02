-- Users who are new on the day; with an experiment, only those who hold the variant.
-- Grain: one row, one number.
-- Parameters: paths text[] (all valid days up to days_after after the day), assignments text[] (files with
--     anonymous_user_id), tenant_id, experiment_id text (NULL: all users), days_after integer, day_start, day_end,
--     oldest, newest timestamptz.
WITH events AS (
    SELECT
        anonymous_user_id,
        occurred_at,
        min(occurred_at) OVER (PARTITION BY anonymous_user_id) AS first_seen
    FROM read_parquet($paths)
    WHERE tenant_id = $tenant_id
        AND occurred_at BETWEEN $oldest AND $newest
        AND anonymous_user_id <> ''
),

cohort AS (
    SELECT
        anonymous_user_id,
        max(CASE
            WHEN occurred_at >= $day_start + $days_after * INTERVAL 24 HOURS
                AND occurred_at < $day_end + $days_after * INTERVAL 24 HOURS
                THEN 1
            ELSE 0
        END) AS retained
    FROM events
    WHERE first_seen >= $day_start
        AND first_seen < $day_end
        AND ($experiment_id IS NULL OR anonymous_user_id IN (SELECT anonymous_user_id FROM read_parquet($assignments)))
    GROUP BY anonymous_user_id
)

SELECT count(*) AS cohort_size
FROM cohort
