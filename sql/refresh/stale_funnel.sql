-- Selects the days whose funnel can change: those with new events.
-- Grain and key: one row per day.
-- Parameters: none.
SELECT DISTINCT day
FROM new_activity
