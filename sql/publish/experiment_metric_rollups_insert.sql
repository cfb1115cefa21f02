-- Adds a run's rows to experiment_metric_rollups. Not by COPY, which row-level security does not allow.
-- Grain and key: those of the table.
-- Parameters: run_id uuid, and for each other column its values as an array, all in one order.
INSERT INTO experiment_metric_rollups (
    tenant_id,
    day,
    experiment_id,
    variant_id,
    metric_name,
    value,
    dimensions,
    run_id
)
SELECT
    given.tenant_id,
    given.day,
    given.experiment_id,
    given.variant_id,
    given.metric_name,
    given.value,
    given.dimensions,
    %(run_id)s
FROM unnest(
    %(tenant_id)s::text [],
    %(day)s::date [],
    %(experiment_id)s::text [],
    %(variant_id)s::text [],
    %(metric_name)s::text [],
    %(value)s::float8 [],
    %(dimensions)s::jsonb []
) AS given (
    tenant_id,
    day,
    experiment_id,
    variant_id,
    metric_name,
    value,
    dimensions
)
