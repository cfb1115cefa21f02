-- Makes new_users by the users state: who is new on one of cohort_days, and what they did after first_seen. A row that
-- was added to the state holds, and of several the last.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: state text[] (the state's files).
CREATE TABLE new_users AS
WITH added AS MATERIALIZED (
    SELECT
        tenant_id,
        anonymous_user_id,
        cohort_day AS day,
        active_d1,
        sessions_d7,
        converted,
        returned_after
    FROM read_parquet($state)
    WHERE added
    QUALIFY row_number() OVER (
        PARTITION BY tenant_id, anonymous_user_id ORDER BY events_version DESC, as_of DESC
    ) = 1
)

SELECT
    tenant_id,
    anonymous_user_id,
    day,
    active_d1,
    sessions_d7,
    converted,
    returned_after
FROM added
WHERE day IN (SELECT day FROM cohort_days)
UNION ALL
SELECT
    state.tenant_id,
    state.anonymous_user_id,
    state.cohort_day,
    state.active_d1,
    state.sessions_d7,
    state.converted,
    state.returned_after
FROM read_parquet($state) AS state
ANTI JOIN added
    ON added.tenant_id = state.tenant_id
    AND added.anonymous_user_id = state.anonymous_user_id
WHERE NOT state.added
    AND state.cohort_day IN (SELECT day FROM cohort_days)
