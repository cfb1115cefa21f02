-- Selects the state as it follows from all valid events, from state_rows.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: events_version bigint, as_of timestamptz.
SELECT
    tenant_id,
    anonymous_user_id,
    cohort_day,
    active_d1,
    sessions_d7,
    converted,
    returned_after,
    active_days,
    first_moments,
    last_moments,
    session_moments,
    received_at,
    false AS added,
    CAST($events_version AS BIGINT) AS events_version,
    CAST($as_of AS TIMESTAMPTZ) AS as_of
FROM state_rows
ORDER BY
    cohort_day,
    tenant_id,
    anonymous_user_id
