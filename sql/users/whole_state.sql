-- Selects the state as it follows from all valid events.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: events_version bigint, as_of timestamptz.
SELECT
    tenant_id,
    anonymous_user_id,
    min(day) AS cohort_day,
    list_sort(list(day)) AS active_days,
    CAST($events_version AS BIGINT) AS events_version,
    CAST($as_of AS TIMESTAMPTZ) AS as_of
FROM user_days
GROUP BY
    tenant_id,
    anonymous_user_id
ORDER BY
    cohort_day,
    tenant_id,
    anonymous_user_id
