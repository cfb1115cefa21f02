-- Selects the days whose daily metrics can change: those with new events. What depends on new users alone is in
-- stale_daily_cohorts.
-- Grain and key: one row per day.
-- Parameters: none.
SELECT DISTINCT day
FROM new_activity
