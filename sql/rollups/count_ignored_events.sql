-- Counts the window's events that no rollup counts: too old, too far ahead, or of a tenant that does not exist.
-- Grain: one row.
-- Parameters: paths text[] (the window's days), oldest, newest timestamptz (both valid).
SELECT count(*) AS ignored_count
FROM read_parquet($paths) AS events
WHERE events.occurred_at NOT BETWEEN $oldest AND $newest
    OR events.tenant_id NOT IN (SELECT tenant_id FROM tenants)
