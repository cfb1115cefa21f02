-- Selects the days whose retention can change: those that gain or lose a new user, those with a user who turns out to
-- have been active 1, 3, 7, 14 or 30 days later, and the cohort of a user whose assignment changed.
-- Grain and key: one row per day.
-- Parameters: none.
WITH touched AS (
    SELECT
        new_days[1] AS cohort_day,
        old_days,
        unnest(touched) AS day
    FROM changed_users
)

SELECT unnest([old_days[1], new_days[1]]) AS day
FROM changed_users
WHERE old_days[1] IS DISTINCT FROM new_days[1]
UNION
SELECT cohort_day
FROM touched
WHERE NOT list_contains(old_days, day)
    AND day - cohort_day IN (1, 3, 7, 14, 30)
UNION
SELECT known_users.active_days[1]
FROM known_users
SEMI JOIN changed_assignments
    ON changed_assignments.tenant_id = known_users.tenant_id
    AND changed_assignments.anonymous_user_id = known_users.anonymous_user_id
