-- A tenant's events in the lake by the day they happened and the day they were received.
-- Grain and key: one row per (occurred_day, received_day) with events, ascending; of days of event in the window.
-- Parameters: tenant_id text, first_day, last_day date (both included).
SELECT
    arrival_counts.occurred_day,
    arrival_counts.received_day,
    arrival_counts.events
FROM arrival_counts
WHERE arrival_counts.tenant_id = %(tenant_id)s
    AND arrival_counts.occurred_day BETWEEN %(first_day)s AND %(last_day)s
    AND arrival_counts.events <> 0
ORDER BY
    arrival_counts.occurred_day,
    arrival_counts.received_day
