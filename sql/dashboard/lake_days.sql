-- A tenant's events in the lake by the UTC day they happened.
-- Grain and key: one row per day with events, ascending.
-- Parameters: tenant_id text.
SELECT
    arrival_counts.occurred_day AS day,
    sum(arrival_counts.events)::bigint AS events,
    max(arrival_counts.received_day) AS newest_received_day
FROM arrival_counts
WHERE arrival_counts.tenant_id = %(tenant_id)s
GROUP BY arrival_counts.occurred_day
HAVING sum(arrival_counts.events) <> 0
ORDER BY arrival_counts.occurred_day
