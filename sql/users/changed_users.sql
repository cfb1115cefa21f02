-- Makes changed_users: users with new events or other facts than before, as they were and as they are; touched are the
-- days of the new events. was is null for users who were unknown, and lists are empty where nothing counts.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: none.
CREATE OR REPLACE TABLE changed_users AS
WITH touched AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        list(day) AS days
    FROM new_activity
    GROUP BY
        tenant_id,
        anonymous_user_id
)

SELECT
    now.tenant_id,
    now.anonymous_user_id,
    coalesce(touched.days, []) AS touched,
    was,
    now
FROM state_rows AS now
LEFT JOIN known_users AS was
    ON was.tenant_id = now.tenant_id
    AND was.anonymous_user_id = now.anonymous_user_id
LEFT JOIN touched
    ON touched.tenant_id = now.tenant_id
    AND touched.anonymous_user_id = now.anonymous_user_id
WHERE touched.days IS NOT NULL
    OR was.active_days IS DISTINCT FROM now.active_days
