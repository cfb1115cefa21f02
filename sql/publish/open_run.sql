-- Opens a run. started_at is taken here, under the job's lock, rather than from the transaction's start.
-- Grain: one run; key run_id, returned with started_at.
-- Parameters: job_name text, window_start, window_end, as_of timestamptz, days date[], code_version text, sql_sha256 text.
INSERT INTO rollup_runs (
    job_name,
    status,
    window_start,
    window_end,
    days,
    as_of,
    code_version,
    sql_sha256,
    started_at
)
VALUES (
    %(job_name)s,
    'RUNNING',
    %(window_start)s,
    %(window_end)s,
    %(days)s,
    %(as_of)s,
    %(code_version)s,
    %(sql_sha256)s,
    clock_timestamp()
)
RETURNING
    run_id,
    started_at
