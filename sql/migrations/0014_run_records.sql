-- Old records of runs can be removed: whether a published row still names one is a look-up.

CREATE INDEX daily_metric_rollups_run ON daily_metric_rollups (run_id);
CREATE INDEX experiment_metric_rollups_run ON experiment_metric_rollups (run_id);
CREATE INDEX funnel_rollups_run ON funnel_rollups (run_id);
CREATE INDEX funnel_cohort_rollups_run ON funnel_cohort_rollups (run_id);
CREATE INDEX retention_rollups_run ON retention_rollups (run_id);
CREATE INDEX run_provenance_files ON run_provenance USING gin (file_ids);
