-- Events on the day that belong to a funnel step; with an experiment, only those stamped with the variant.
-- Grain: one row, one number.
-- Parameters: paths text[] (the day), event_names text[], tenant_id, experiment_id, variant_id text (NULL: overall),
--     day_start, day_end, oldest, newest timestamptz.
SELECT count(*) AS events_count
FROM read_parquet($paths)
WHERE tenant_id = $tenant_id
    AND occurred_at >= $day_start
    AND occurred_at < $day_end
    AND occurred_at BETWEEN $oldest AND $newest
    AND list_contains($event_names, event_name)
    AND ($experiment_id IS NULL OR experiment_map[$experiment_id] = $variant_id)
