-- Adds to user_days the active days of the new users, by the users state. Their latest row has their cohort day: rows
-- with that of another day need not be read.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day). Parameters: state text[] (the state's files).
INSERT INTO user_days
SELECT
    tenant_id,
    anonymous_user_id,
    unnest(active_days) AS day
FROM (
    SELECT
        state.tenant_id,
        state.anonymous_user_id,
        state.active_days
    FROM read_parquet($state) AS state
    SEMI JOIN new_users
        ON new_users.tenant_id = state.tenant_id
        AND new_users.anonymous_user_id = state.anonymous_user_id
    WHERE state.cohort_day IN (SELECT day FROM days)
    QUALIFY row_number() OVER (
        PARTITION BY state.tenant_id, state.anonymous_user_id ORDER BY state.events_version DESC, state.as_of DESC
    ) = 1
)
