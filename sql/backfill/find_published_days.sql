-- Reads which days of a window each job has published since a moment.
-- Grain: one row per job and day; key (job_name, day).
-- Parameters: since timestamptz, as_of timestamptz (null: whatever the runs' own), first_day, last_day date.
SELECT DISTINCT
    rollup_runs.job_name,
    published.day
FROM rollup_runs
CROSS JOIN LATERAL unnest(
    coalesce(
        rollup_runs.days,
        ARRAY(
            SELECT (rollup_runs.window_start AT TIME ZONE 'UTC')::date + number
            FROM generate_series(
                0,
                (rollup_runs.window_end AT TIME ZONE 'UTC')::date
                - (rollup_runs.window_start AT TIME ZONE 'UTC')::date - 1
            ) AS number
        )
    )
) AS published (day)
WHERE rollup_runs.status = 'SUCCESS'
    AND rollup_runs.started_at >= %(since)s
    AND (%(as_of)s::timestamptz IS NULL OR rollup_runs.as_of = %(as_of)s)
    AND published.day BETWEEN %(first_day)s AND %(last_day)s
