-- Fails the runs of a job that can no longer end: those that died computing, and results nobody published for a day.
-- Grain: one run; key run_id. The caller holds the job's lock.
-- Parameters: job_name text.
UPDATE rollup_runs
SET
    status = 'FAILED',
    error_text = CASE
        WHEN seconds IS NULL THEN 'interrupted: the process ended before the run did'
        ELSE 'abandoned: computed, but not published within a day'
    END,
    finished_at = clock_timestamp()
WHERE job_name = %(job_name)s
    AND status = 'RUNNING'
    AND (seconds IS NULL OR started_at < clock_timestamp() - interval '1 day')
