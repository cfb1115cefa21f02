-- The page of one experiment reads its own rows of 90 days: by the primary keys, which begin with the day, it would read
-- those of all experiments.

CREATE INDEX experiment_metric_rollups_experiment ON experiment_metric_rollups (tenant_id, experiment_id, day);

CREATE INDEX funnel_cohort_rollups_experiment ON funnel_cohort_rollups (tenant_id, experiment_id, day);
