-- Makes user_facts of the users whose facts may change: those known merged with those of the new events, without days
-- whose last event is too old to count. Lists are in order of time, those of days side by side; empty: nothing counts.
-- Grain and key: one row per (tenant_id, anonymous_user_id). Parameters: oldest timestamptz (valid).
CREATE OR REPLACE TABLE user_facts AS
WITH days AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        unnest(active_days) AS day,
        unnest(first_moments) AS first_moment,
        unnest(last_moments) AS last_moment
    FROM known_users
    UNION ALL
    SELECT
        tenant_id,
        anonymous_user_id,
        day,
        first_moment,
        last_moment
    FROM new_activity
    WHERE anonymous_user_id <> ''
),

merged_days AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        day,
        min(first_moment) AS first_moment,
        max(last_moment) AS last_moment
    FROM days
    GROUP BY
        tenant_id,
        anonymous_user_id,
        day
),

merged AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        coalesce(list(day ORDER BY day) FILTER (WHERE last_moment >= $oldest), []) AS active_days,
        coalesce(list(first_moment ORDER BY day) FILTER (WHERE last_moment >= $oldest), []) AS first_moments,
        coalesce(list(last_moment ORDER BY day) FILTER (WHERE last_moment >= $oldest), []) AS last_moments
    FROM merged_days
    GROUP BY
        tenant_id,
        anonymous_user_id
),

news AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        flatten(list(session_moments)) AS session_moments,
        max(received_at) AS received_at
    FROM new_activity
    GROUP BY
        tenant_id,
        anonymous_user_id
)

SELECT
    merged.tenant_id,
    merged.anonymous_user_id,
    merged.active_days,
    merged.first_moments,
    merged.last_moments,
    list_sort(
        list_filter(
            list_concat(coalesce(known_users.session_moments, []), coalesce(news.session_moments, [])),
            lambda moment: moment >= merged.first_moments[1]
        )
    ) AS session_moments,
    greatest(known_users.received_at, news.received_at) AS received_at
FROM merged
LEFT JOIN known_users
    ON known_users.tenant_id = merged.tenant_id
    AND known_users.anonymous_user_id = merged.anonymous_user_id
LEFT JOIN news
    ON news.tenant_id = merged.tenant_id
    AND news.anonymous_user_id = merged.anonymous_user_id
