-- Runs that publish only the daily metrics of new users, for days on which nothing else can have changed. Their rows
-- are those of daily_metric_rollups; a row names the run that computed it, as ever.

ALTER TABLE rollup_runs DROP CONSTRAINT rollup_runs_job_name_check;
ALTER TABLE rollup_runs ADD CONSTRAINT rollup_runs_job_name_check CHECK (
    job_name IN (
        'daily_metrics_rollup',
        'daily_cohorts_rollup',
        'experiment_metrics_rollup',
        'funnel_rollup',
        'funnel_cohort_rollup',
        'retention_rollup'
    )
);
