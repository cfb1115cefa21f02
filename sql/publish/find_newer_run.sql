-- Finds a published run of one of some jobs that began later and covers some of the same days.
-- Grain: one run, or none; key run_id.
-- Parameters: job_names text[], started_at, window_start, window_end timestamptz, days date[]
-- (null: the whole window).
SELECT run_id
FROM rollup_runs
WHERE job_name = ANY(%(job_names)s::text[])
    AND status = 'SUCCESS'
    AND started_at > %(started_at)s
    AND window_start < %(window_end)s
    AND window_end > %(window_start)s
    AND (days IS NULL OR %(days)s::date[] IS NULL OR days && %(days)s::date[])
ORDER BY started_at DESC
LIMIT 1
