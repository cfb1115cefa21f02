-- Reads the published rows of experiment_metric_rollups, without their runs.
-- Grain and key: those of the table; columns in the order of pipeline.rollups.jobs.
-- Parameters: days date[].
SELECT
    tenant_id,
    day,
    experiment_id,
    variant_id,
    metric_name,
    value,
    dimensions
FROM experiment_metric_rollups
WHERE day = ANY(%(days)s::date[])
