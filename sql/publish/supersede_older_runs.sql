-- Fails the unpublished runs of some jobs that began before this one and cover some of its days: they are out of date.
-- Grain: one run; key run_id.
-- Parameters: run_id uuid, job_names text[], started_at, window_start, window_end timestamptz, days date[] or null.
UPDATE rollup_runs
SET
    status = 'FAILED',
    error_text = 'superseded: run ' || %(run_id)s::text || ' began later and was published first',
    finished_at = clock_timestamp()
WHERE job_name = ANY(%(job_names)s::text[])
    AND status = 'RUNNING'
    AND started_at < %(started_at)s
    AND window_start < %(window_end)s
    AND window_end > %(window_start)s
    AND (days IS NULL OR %(days)s::date[] IS NULL OR days && %(days)s::date[])
