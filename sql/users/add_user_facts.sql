-- Adds a part of the users to user_facts, from user_days: lists do not spill, so never too many at once.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: part integer.
INSERT INTO user_facts
SELECT
    tenant_id,
    anonymous_user_id,
    list(day ORDER BY day) AS active_days,
    list(first_moment ORDER BY day) AS first_moments,
    list(last_moment ORDER BY day) AS last_moments,
    list_sort(flatten(list(session_moments))) AS session_moments,
    max(received_at) AS received_at
FROM user_days
WHERE part = $part
GROUP BY
    tenant_id,
    anonymous_user_id
