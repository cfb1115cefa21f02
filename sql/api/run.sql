-- One run with what is recorded of it.
-- Grain: one row, or none; key run_id.
-- Parameters: run_id uuid.
SELECT
    rollup_runs.run_id,
    rollup_runs.job_name,
    rollup_runs.status,
    rollup_runs.window_start,
    rollup_runs.window_end,
    rollup_runs.days,
    rollup_runs.as_of,
    rollup_runs.lake_version,
    rollup_runs.rows_written,
    rollup_runs.ignored_count,
    rollup_runs.seconds,
    rollup_runs.error_text,
    rollup_runs.started_at,
    rollup_runs.finished_at,
    rollup_runs.code_version,
    run_provenance.newest_received_at,
    rollup_runs.sql_sha256,
    run_provenance.code_commit,
    run_provenance.engines,
    run_provenance.parameters,
    run_provenance.steps,
    run_provenance.inputs,
    run_provenance.file_ids,
    run_provenance.result_rows,
    run_provenance.result_sha256
FROM rollup_runs
LEFT JOIN run_provenance
    ON run_provenance.run_id = rollup_runs.run_id
WHERE rollup_runs.run_id = %(run_id)s
