-- Selects the state's latest row of each user who still counts, to be written as one.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: state text[] (the state's files).
SELECT
    tenant_id,
    anonymous_user_id,
    cohort_day,
    active_days,
    events_version,
    as_of
FROM (
    SELECT *
    FROM read_parquet($state)
    QUALIFY row_number() OVER (
        PARTITION BY tenant_id, anonymous_user_id ORDER BY events_version DESC, as_of DESC
    ) = 1
)
WHERE cohort_day IS NOT NULL
ORDER BY
    cohort_day,
    tenant_id,
    anonymous_user_id
