-- Runs behind published rows, and the newest event each has read.
-- Grain: one row per run, in order of their end. Key: run_id.
-- Parameters: run_ids uuid[].
SELECT
    rollup_runs.run_id,
    rollup_runs.job_name,
    rollup_runs.lake_version,
    rollup_runs.finished_at,
    run_provenance.newest_received_at
FROM rollup_runs
LEFT JOIN run_provenance
    ON run_provenance.run_id = rollup_runs.run_id
WHERE rollup_runs.run_id = ANY(%(run_ids)s::uuid[])
ORDER BY
    rollup_runs.finished_at,
    rollup_runs.run_id
