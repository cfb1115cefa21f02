-- Counts the events that are in the lake alone.
-- Grain and key: day, the UTC date of occurred_at.
-- Parameters: none.
SELECT
    occurred_day AS day,
    sum(events)::bigint AS events
FROM removed_events
WHERE reason = 'pruned'
GROUP BY occurred_day
HAVING sum(events) > 0
ORDER BY occurred_day
