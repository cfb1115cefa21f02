-- Experiment metrics of a window as JSON: a list of {experiment_id, day, variant_id, metric_name, value, dimensions, run_id}.
-- Grain: one row; its list has an object per experiment, day, variant and metric, in that order.
-- Parameters: tenant_id text, experiment_id text (NULL: all), first_day, last_day date (both included).
WITH found AS (
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
)

SELECT
    coalesce(
        json_agg(
            found
            ORDER BY
                found.experiment_id,
                found.day,
                found.variant_id,
                found.metric_name COLLATE "C"
        ),
        '[]'
    )::text AS rows
FROM found
