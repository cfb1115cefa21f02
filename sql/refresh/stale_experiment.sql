-- Selects the days whose experiment metrics can change: those that gain or lose a new user, those of whose new users
-- something else is known than before, the cohort of a user whose assignment changed, and all days from that assignment on.
-- Grain and key: one row per day.
-- Parameters: last_day date (the last that can be computed).
SELECT unnest([was.cohort_day, now.cohort_day]) AS day
FROM changed_users
WHERE was.cohort_day IS DISTINCT FROM now.cohort_day
    OR was.active_d1 IS DISTINCT FROM now.active_d1
    OR was.sessions_d7 IS DISTINCT FROM now.sessions_d7
    OR was.converted IS DISTINCT FROM now.converted
UNION
SELECT known_users.cohort_day
FROM known_users
SEMI JOIN changed_assignments
    ON changed_assignments.tenant_id = known_users.tenant_id
    AND changed_assignments.anonymous_user_id = known_users.anonymous_user_id
UNION
SELECT CAST(unnest(generate_series(first_day, CAST($last_day AS TIMESTAMP), INTERVAL 1 DAY)) AS DATE)
FROM (
    SELECT CAST(greatest(min(day), CAST($last_day AS DATE) - 200) AS TIMESTAMP) AS first_day
    FROM changed_assignments
    HAVING count(*) > 0
)
