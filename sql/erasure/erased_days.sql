-- Lists the UTC days whose numbers the erased events were part of.
-- Grain and key: day.
-- Parameters: none.
SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date AS day
FROM erased_events
ORDER BY day
