-- Selects the days whose daily metrics can change: those with new events, those that gain or lose a new user, and
-- those whose new users have new events within the day after (24 hours reach no further).
-- Grain and key: one row per day.
-- Parameters: none.
SELECT day
FROM new_activity
UNION
SELECT unnest([old_days[1], new_days[1]]) AS day
FROM changed_users
WHERE old_days[1] IS DISTINCT FROM new_days[1]
UNION
SELECT new_days[1] AS day
FROM changed_users
WHERE list_contains(touched, new_days[1])
    OR list_contains(touched, CAST(new_days[1] + INTERVAL 1 DAY AS DATE))
