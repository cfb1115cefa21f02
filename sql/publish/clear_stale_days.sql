-- Clears the stale days that a run sets right: those it computed, if what it read was read after they were marked.
-- Grain: one row per (job_name, day). Parameters: job_names text[] (the run's job, and those that are a part of it),
-- days date[], read_at, as_of timestamptz (of the run), first_day date (older ones are past help).
DELETE FROM stale_days
WHERE job_name = ANY(%(job_names)s::text[])
    AND ((day = ANY(%(days)s::date[]) AND marked_at < %(read_at)s AND as_of <= %(as_of)s) OR day < %(first_day)s)
