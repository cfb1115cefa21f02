-- Assignments to the variant that were made before the end of the day.
-- Grain: one row, one number.
-- Parameters: assignments text[] (files with anonymous_user_id, assigned_at), day_end timestamptz.
SELECT count(*) AS users_assigned
FROM read_parquet($assignments)
WHERE assigned_at < $day_end
