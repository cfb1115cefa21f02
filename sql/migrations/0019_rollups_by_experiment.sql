-- The pages of one experiment read its own rows of 90 days: by the primary keys, which begin with the day, they would read
-- those of all experiments.

CREATE INDEX experiment_metric_rollups_experiment ON experiment_metric_rollups (tenant_id, experiment_id, day);

CREATE INDEX funnel_rollups_experiment ON funnel_rollups (tenant_id, experiment_id, day);

CREATE INDEX funnel_cohort_rollups_experiment ON funnel_cohort_rollups (tenant_id, experiment_id, day);

CREATE INDEX retention_rollups_experiment ON retention_rollups (tenant_id, experiment_id, day);
