-- Reads the published days that are out of date, within the days that can be computed.
-- Grain and key: one row per (job_name, day).
-- Parameters: first_day, last_day date, both included.
SELECT
    job_name,
    day
FROM stale_days
WHERE day BETWEEN %(first_day)s AND %(last_day)s
ORDER BY
    job_name,
    day
