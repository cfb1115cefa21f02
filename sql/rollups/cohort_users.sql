-- Makes cohort_users: by the users state, who is new on one of the days.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: state text[] (the state's files).
CREATE TABLE cohort_users AS
WITH candidates AS (
    SELECT DISTINCT
        tenant_id,
        anonymous_user_id
    FROM read_parquet($state)
    WHERE cohort_day IN (SELECT day FROM days)
),

latest AS (
    SELECT
        state.tenant_id,
        state.anonymous_user_id,
        state.cohort_day
    FROM read_parquet($state) AS state
    SEMI JOIN candidates
        ON candidates.tenant_id = state.tenant_id
        AND candidates.anonymous_user_id = state.anonymous_user_id
    QUALIFY row_number() OVER (
        PARTITION BY state.tenant_id, state.anonymous_user_id ORDER BY state.events_version DESC, state.as_of DESC
    ) = 1
)

SELECT
    tenant_id,
    anonymous_user_id,
    cohort_day
FROM latest
WHERE cohort_day IN (SELECT day FROM days)
