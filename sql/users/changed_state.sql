-- Selects the rows to add to the state: the changed users, as they are now.
-- Grain and key: one row per (tenant_id, anonymous_user_id); cohort_day is null where no event counts any more.
-- Parameters: events_version bigint, as_of timestamptz.
SELECT
    tenant_id,
    anonymous_user_id,
    CAST(new_days[1] AS DATE) AS cohort_day,
    CAST(new_days AS DATE []) AS active_days,
    CAST($events_version AS BIGINT) AS events_version,
    CAST($as_of AS TIMESTAMPTZ) AS as_of
FROM changed_users
WHERE old_days <> new_days
ORDER BY
    cohort_day,
    tenant_id,
    anonymous_user_id
