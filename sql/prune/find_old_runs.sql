-- Finds the runs that are over, began before a moment, and of which no published row is left, but for the newest of each
-- job.
-- Grain: one run; key run_id.
-- Parameters: before timestamptz.
SELECT old.run_id
FROM rollup_runs AS old
WHERE old.started_at < %(before)s
    AND old.status <> 'RUNNING'
    AND NOT EXISTS (SELECT FROM daily_metric_rollups AS rows WHERE rows.run_id = old.run_id)
    AND NOT EXISTS (SELECT FROM experiment_metric_rollups AS rows WHERE rows.run_id = old.run_id)
    AND NOT EXISTS (SELECT FROM funnel_rollups AS rows WHERE rows.run_id = old.run_id)
    AND NOT EXISTS (SELECT FROM funnel_cohort_rollups AS rows WHERE rows.run_id = old.run_id)
    AND NOT EXISTS (SELECT FROM retention_rollups AS rows WHERE rows.run_id = old.run_id)
    AND old.run_id NOT IN (
        SELECT DISTINCT ON (job_name) run_id
        FROM rollup_runs
        WHERE status = 'SUCCESS'
        ORDER BY
            job_name,
            started_at DESC
    )
