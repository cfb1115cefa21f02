-- Old records of runs can be removed: whether a published row still names a run, or a run a file, is a look-up.
-- Without these indexes, each removal would read the published tables as a whole.

CREATE INDEX daily_metric_rollups_run ON daily_metric_rollups (run_id);
CREATE INDEX experiment_metric_rollups_run ON experiment_metric_rollups (run_id);
CREATE INDEX funnel_rollups_run ON funnel_rollups (run_id);
CREATE INDEX funnel_cohort_rollups_run ON funnel_cohort_rollups (run_id);
CREATE INDEX retention_rollups_run ON retention_rollups (run_id);
CREATE INDEX run_provenance_files ON run_provenance USING gin (file_ids);
