-- Makes changed_users: users whose active days change or who have new events; old_days is empty for unknown users, and
-- new_days for those none of whose events count any more. touched are the days of the new events.
-- Grain and key: one row per (tenant_id, anonymous_user_id). Parameters: oldest_day_paths text[] (files of that day),
-- oldest_day date, oldest, newest timestamptz. Of the oldest day only a part is valid: its events decide.
CREATE OR REPLACE TABLE changed_users AS
WITH touched AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        list_sort(list(day)) AS days
    FROM new_activity
    WHERE anonymous_user_id <> ''
    GROUP BY
        tenant_id,
        anonymous_user_id
),

active_on_oldest_day AS (
    SELECT DISTINCT
        tenant_id,
        anonymous_user_id
    FROM read_parquet($oldest_day_paths)
    WHERE occurred_at BETWEEN $oldest AND $newest
),

merged AS (
    SELECT
        coalesce(known_users.tenant_id, touched.tenant_id) AS tenant_id,
        coalesce(known_users.anonymous_user_id, touched.anonymous_user_id) AS anonymous_user_id,
        coalesce(known_users.active_days, []) AS old_days,
        coalesce(touched.days, []) AS touched
    FROM known_users
    FULL JOIN touched
        ON touched.tenant_id = known_users.tenant_id
        AND touched.anonymous_user_id = known_users.anonymous_user_id
),

days AS (
    SELECT
        merged.tenant_id,
        merged.anonymous_user_id,
        unnest(list_distinct(list_concat(merged.old_days, merged.touched))) AS day
    FROM merged
),

counting AS (
    SELECT
        days.tenant_id,
        days.anonymous_user_id,
        list_sort(list(days.day)) AS new_days
    FROM days
    LEFT JOIN active_on_oldest_day AS oldest
        ON oldest.tenant_id = days.tenant_id
        AND oldest.anonymous_user_id = days.anonymous_user_id
    WHERE days.day > $oldest_day
        OR (days.day = $oldest_day AND oldest.tenant_id IS NOT NULL)
    GROUP BY
        days.tenant_id,
        days.anonymous_user_id
)

SELECT
    merged.tenant_id,
    merged.anonymous_user_id,
    merged.old_days,
    coalesce(counting.new_days, []) AS new_days,
    merged.touched
FROM merged
LEFT JOIN counting
    ON counting.tenant_id = merged.tenant_id
    AND counting.anonymous_user_id = merged.anonymous_user_id
WHERE merged.old_days <> coalesce(counting.new_days, [])
    OR len(merged.touched) > 0
