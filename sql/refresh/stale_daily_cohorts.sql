-- Selects the days whose daily metrics of new users change: those that gain or lose a new user, or one of whose new users
-- turns out to have submitted a session within 24 hours, or not to have.
-- Grain and key: one row per day.
-- Parameters: none.
SELECT DISTINCT unnest([was.cohort_day, now.cohort_day]) AS day
FROM changed_users
WHERE was.cohort_day IS DISTINCT FROM now.cohort_day
    OR was.converted IS DISTINCT FROM now.converted
