-- Removes runs; their provenance goes along.
-- Grain: one run; key run_id.
-- Parameters: run_ids uuid[].
DELETE FROM rollup_runs
WHERE run_id = ANY(%(run_ids)s::uuid[])
