-- Marks published days of a job as out of date: only a run that begins later, as of no earlier time, sets them right.
-- Grain and key: one row per (job_name, day).
-- Parameters: job_name text, days date[], as_of timestamptz.
INSERT INTO stale_days (job_name, day, as_of)
SELECT
    %(job_name)s,
    day,
    %(as_of)s
FROM unnest(%(days)s::date[]) AS marked (day)
ORDER BY day
ON CONFLICT (job_name, day) DO UPDATE SET
    as_of = greatest(stale_days.as_of, excluded.as_of),
    marked_at = excluded.marked_at
