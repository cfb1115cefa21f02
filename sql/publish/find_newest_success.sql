-- Reads the run of a job that published the newest day; of several, the last one.
-- Grain: one run, or none; key run_id.
-- Parameters: job_name text.
SELECT
    run_id,
    job_name,
    status,
    window_start,
    window_end,
    days,
    as_of,
    lake_version,
    rows_written,
    ignored_count,
    seconds,
    error_text,
    started_at,
    finished_at
FROM rollup_runs
WHERE job_name = %(job_name)s
    AND status = 'SUCCESS'
ORDER BY
    window_end DESC,
    started_at DESC
LIMIT 1
