-- Clears the stale days of a job that a run sets right: those it computed, if it began after they were marked.
-- Grain: one row per (job_name, day).
-- Parameters: job_name text, days date[], started_at, as_of timestamptz (of the run), first_day date (older ones are past help).
DELETE FROM stale_days
WHERE job_name = %(job_name)s
    AND ((day = ANY(%(days)s::date[]) AND marked_at < %(started_at)s AND as_of <= %(as_of)s) OR day < %(first_day)s)
