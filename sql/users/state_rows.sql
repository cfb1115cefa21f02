-- Makes state_rows of user_facts: what the numbers of new users need of each user, beside the facts it follows from.
-- first_seen is the first moment of the first day; both ends of a span of time are included, except that active_d1
-- begins after first_seen itself. returned_after: so many days after the cohort day the user was active again.
-- Grain and key: one row per (tenant_id, anonymous_user_id); cohort_day is null where no event counts any more.
-- Parameters: periods integer[] (days after the cohort day that are looked at).
CREATE OR REPLACE TABLE state_rows AS
SELECT
    tenant_id,
    anonymous_user_id,
    active_days[1] AS cohort_day,
    coalesce(
        last_moments[1] > first_moments[1] OR first_moments[2] <= first_moments[1] + INTERVAL 24 HOURS, false
    ) AS active_d1,
    len(list_filter(session_moments, lambda moment: moment <= first_moments[1] + INTERVAL 168 HOURS)) AS sessions_d7,
    coalesce(session_moments[1] <= first_moments[1] + INTERVAL 24 HOURS, false) AS converted,
    list_filter(
        CAST($periods AS INTEGER []), lambda period: list_contains(active_days, active_days[1] + period)
    ) AS returned_after,
    active_days,
    first_moments,
    last_moments,
    session_moments,
    received_at
FROM user_facts
