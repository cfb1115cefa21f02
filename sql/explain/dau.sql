-- Distinct users with an event on the day; an event without a user ('') counts for nobody.
-- Grain: one row, one number.
-- Parameters: paths text[] (the day), tenant_id text, day_start, day_end, oldest, newest timestamptz.
SELECT count(DISTINCT anonymous_user_id) AS dau
FROM read_parquet($paths)
WHERE tenant_id = $tenant_id
    AND occurred_at >= $day_start
    AND occurred_at < $day_end
    AND occurred_at BETWEEN $oldest AND $newest
    AND anonymous_user_id <> ''
