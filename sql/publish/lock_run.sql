-- Reads one run and keeps it from changing until the transaction ends.
-- Grain: one run; key run_id.
-- Parameters: run_id uuid.
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
WHERE run_id = %(run_id)s
FOR UPDATE
