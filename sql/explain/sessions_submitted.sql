-- Events named session_submitted on the day.
-- Grain: one row, one number.
-- Parameters: paths text[] (the day), tenant_id text, day_start, day_end, oldest, newest timestamptz.
SELECT count(*) AS sessions_submitted
FROM read_parquet($paths)
WHERE tenant_id = $tenant_id
    AND occurred_at >= $day_start
    AND occurred_at < $day_end
    AND occurred_at BETWEEN $oldest AND $newest
    AND event_name = 'session_submitted'
