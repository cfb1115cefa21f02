-- Selects the rows to add to the state: the users whose facts have changed, as they are now.
-- Grain and key: one row per (tenant_id, anonymous_user_id); cohort_day is null where no event counts any more.
-- Parameters: events_version bigint, as_of timestamptz.
SELECT
    tenant_id,
    anonymous_user_id,
    now.cohort_day,
    now.active_d1,
    now.sessions_d7,
    now.converted,
    now.returned_after,
    now.active_days,
    now.first_moments,
    now.last_moments,
    now.session_moments,
    now.received_at,
    true AS added,
    CAST($events_version AS BIGINT) AS events_version,
    CAST($as_of AS TIMESTAMPTZ) AS as_of
FROM changed_users
WHERE was IS DISTINCT FROM now
ORDER BY
    now.cohort_day,
    tenant_id,
    anonymous_user_id
