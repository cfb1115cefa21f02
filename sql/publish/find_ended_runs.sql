-- Finds those of some runs that are over.
-- Grain: one run; key run_id.
-- Parameters: run_ids uuid[].
SELECT run_id
FROM rollup_runs
WHERE run_id = ANY(%(run_ids)s::uuid[])
    AND status <> 'RUNNING'
