-- Selects the days whose experiment metrics can change: those that gain or lose a new user, those whose new users have
-- new events within seven days, the cohort of a user whose assignment changed, and all days from that assignment on.
-- Grain and key: one row per day.
-- Parameters: last_day date (the last that can be computed).
WITH touched AS (
    SELECT
        new_days[1] AS cohort_day,
        unnest(touched) AS day
    FROM changed_users
)

SELECT unnest([old_days[1], new_days[1]]) AS day
FROM changed_users
WHERE old_days[1] IS DISTINCT FROM new_days[1]
UNION
SELECT cohort_day
FROM touched
WHERE day - cohort_day BETWEEN 0 AND 7
UNION
SELECT known_users.active_days[1]
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
