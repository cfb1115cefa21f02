-- Selects the state's latest row of each user who still counts, to be written as one: a row that was added holds, and
-- of several the last.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: state text[] (the state's files).
WITH added AS MATERIALIZED (
    SELECT *
    FROM read_parquet($state)
    WHERE added
    QUALIFY row_number() OVER (
        PARTITION BY tenant_id, anonymous_user_id ORDER BY events_version DESC, as_of DESC
    ) = 1
),

latest AS (
    SELECT *
    FROM added
    UNION ALL
    SELECT state.*
    FROM read_parquet($state) AS state
    ANTI JOIN added
        ON added.tenant_id = state.tenant_id
        AND added.anonymous_user_id = state.anonymous_user_id
    WHERE NOT state.added
)

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
    events_version,
    as_of
FROM latest
WHERE cohort_day IS NOT NULL
ORDER BY
    cohort_day,
    tenant_id,
    anonymous_user_id
