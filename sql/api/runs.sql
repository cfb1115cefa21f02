-- Runs, newest first.
-- Grain and key: one row per run; in order of started_at and run_id, descending.
-- Parameters: job_name, status text (NULL: all), cursor uuid (NULL: from the newest; else runs after it), row_limit
--     bigint.
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
    run_provenance.newest_received_at
FROM rollup_runs
LEFT JOIN run_provenance
    ON run_provenance.run_id = rollup_runs.run_id
WHERE (%(job_name)s::text IS NULL OR rollup_runs.job_name = %(job_name)s)
    AND (%(status)s::text IS NULL OR rollup_runs.status = %(status)s)
    AND (
        %(cursor)s::uuid IS NULL
        OR (rollup_runs.started_at, rollup_runs.run_id) < (
            SELECT
                place.started_at,
                place.run_id
            FROM rollup_runs AS place
            WHERE place.run_id = %(cursor)s
        )
    )
ORDER BY
    rollup_runs.started_at DESC,
    rollup_runs.run_id DESC
LIMIT %(row_limit)s
