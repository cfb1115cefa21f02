-- Makes known_users: what the state knows of the users who may change: those with new events or changed assignments,
-- and those whose first active day may no longer count.
-- Grain and key: one row per (tenant_id, anonymous_user_id). Parameters: state text[] (the state's files), oldest_day date.
CREATE OR REPLACE TABLE known_users AS
WITH wanted AS (
    SELECT
        tenant_id,
        anonymous_user_id
    FROM new_activity
    UNION
    SELECT
        tenant_id,
        anonymous_user_id
    FROM changed_assignments
    UNION
    SELECT
        tenant_id,
        anonymous_user_id
    FROM read_parquet($state)
    WHERE cohort_day <= $oldest_day
)

SELECT
    state.tenant_id,
    state.anonymous_user_id,
    state.cohort_day,
    state.active_d1,
    state.sessions_d7,
    state.converted,
    state.returned_after,
    state.active_days,
    state.first_moments,
    state.last_moments,
    state.session_moments,
    state.received_at
FROM read_parquet($state) AS state
SEMI JOIN wanted
    ON wanted.tenant_id = state.tenant_id
    AND wanted.anonymous_user_id = state.anonymous_user_id
QUALIFY row_number() OVER (
    PARTITION BY state.tenant_id, state.anonymous_user_id ORDER BY state.events_version DESC, state.as_of DESC
) = 1
