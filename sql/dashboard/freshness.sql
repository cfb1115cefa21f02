-- What the published daily metrics of a tenant were computed from, and which jobs failed last.
-- Grain: one row; nulls when nothing is published. Seeks one run per job by the index on (job_name, started_at).
-- Parameters: tenant_id text, first_day, last_day date (both included), job_names text[].
SELECT
    max(run_provenance.newest_received_at) AS newest_received_at,
    max(rollup_runs.finished_at) AS computed_at,
    max(rollup_runs.lake_version) AS lake_version,
    ARRAY(
        SELECT jobs.job_name
        FROM unnest(%(job_names)s::text[]) AS jobs (job_name)
        CROSS JOIN LATERAL (
            SELECT ended.status
            FROM rollup_runs AS ended
            WHERE ended.job_name = jobs.job_name
                AND ended.status <> 'RUNNING'
            ORDER BY ended.started_at DESC
            LIMIT 1
        ) AS last_run
        WHERE last_run.status = 'FAILED'
        ORDER BY jobs.job_name
    ) AS failed_jobs
FROM (
    SELECT DISTINCT daily_metric_rollups.run_id
    FROM daily_metric_rollups
    WHERE daily_metric_rollups.tenant_id = %(tenant_id)s
        AND daily_metric_rollups.day BETWEEN %(first_day)s AND %(last_day)s
) AS shown
INNER JOIN rollup_runs
    ON rollup_runs.run_id = shown.run_id
LEFT JOIN run_provenance
    ON run_provenance.run_id = shown.run_id
