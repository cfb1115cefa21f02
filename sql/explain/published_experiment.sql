-- One published metric of a variant.
-- Grain: one row, or none.
-- Parameters: tenant_id text, day date, metric_name, experiment_id, variant_id text.
SELECT
    experiment_metric_rollups.value,
    experiment_metric_rollups.dimensions,
    experiment_metric_rollups.run_id
FROM experiment_metric_rollups
WHERE experiment_metric_rollups.tenant_id = %(tenant_id)s
    AND experiment_metric_rollups.day = %(day)s
    AND experiment_metric_rollups.metric_name = %(metric_name)s
    AND experiment_metric_rollups.experiment_id = %(experiment_id)s
    AND experiment_metric_rollups.variant_id = %(variant_id)s
