-- Selects the days whose retention can change: those that gain or lose a new user, those with a new user who turns out
-- to have been active so many days later, or not to have, and the cohort of a user whose assignment changed.
-- Grain and key: one row per day.
-- Parameters: none.
SELECT unnest([was.cohort_day, now.cohort_day]) AS day
FROM changed_users
WHERE was.cohort_day IS DISTINCT FROM now.cohort_day
    OR was.returned_after IS DISTINCT FROM now.returned_after
UNION
SELECT known_users.cohort_day
FROM known_users
SEMI JOIN changed_assignments
    ON changed_assignments.tenant_id = known_users.tenant_id
    AND changed_assignments.anonymous_user_id = known_users.anonymous_user_id
