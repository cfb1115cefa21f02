-- Reads what a run was computed from.
-- Grain: one run, or none; key run_id.
-- Parameters: run_id uuid.
SELECT
    run_provenance.run_id,
    run_provenance.file_ids,
    run_provenance.steps,
    run_provenance.inputs,
    run_provenance.parameters,
    run_provenance.engines,
    rollup_runs.code_version,
    run_provenance.code_commit,
    run_provenance.newest_received_at,
    run_provenance.result_rows,
    run_provenance.result_sha256
FROM run_provenance
INNER JOIN rollup_runs
    ON rollup_runs.run_id = run_provenance.run_id
WHERE run_provenance.run_id = %(run_id)s
