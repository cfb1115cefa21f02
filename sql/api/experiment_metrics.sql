-- Experiment metrics of a window, each column as a JSON list, and the runs that published them.
-- Grain: one row; its lists have a value per experiment, day, variant and metric, in that order, and are null without any.
-- Parameters: tenant_id text, experiment_id text (NULL: all), first_day, last_day date (both included).
SELECT
    json_build_object(
        'experiment_id', json_agg(found.experiment_id),
        'day', json_agg(found.day),
        'variant_id', json_agg(found.variant_id),
        'metric_name', json_agg(found.metric_name),
        'value', json_agg(found.value),
        'dimensions', json_agg(found.dimensions)
    )::text AS columns,
    array_agg(DISTINCT found.run_id) AS run_ids
FROM (
    SELECT
        experiment_metric_rollups.experiment_id,
        experiment_metric_rollups.day,
        experiment_metric_rollups.variant_id,
        experiment_metric_rollups.metric_name,
        experiment_metric_rollups.value,
        experiment_metric_rollups.dimensions,
        experiment_metric_rollups.run_id
    FROM experiment_metric_rollups
    WHERE experiment_metric_rollups.tenant_id = %(tenant_id)s
        AND (%(experiment_id)s::text IS NULL OR experiment_metric_rollups.experiment_id = %(experiment_id)s)
        AND experiment_metric_rollups.day BETWEEN %(first_day)s AND %(last_day)s
    ORDER BY
        experiment_metric_rollups.experiment_id,
        experiment_metric_rollups.day,
        experiment_metric_rollups.variant_id,
        experiment_metric_rollups.metric_name COLLATE "C"
) AS found
