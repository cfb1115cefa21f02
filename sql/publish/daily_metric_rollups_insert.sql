-- Adds a run's rows to daily_metric_rollups. Not by COPY, which row-level security does not allow.
-- Grain and key: those of the table.
-- Parameters: run_id uuid, and for each other column its values as an array, all in one order.
INSERT INTO daily_metric_rollups (
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions,
    run_id
)
SELECT
    given.tenant_id,
    given.day,
    given.metric_name,
    given.dimension_key,
    given.value,
    given.dimensions,
    %(run_id)s
FROM unnest(
    %(tenant_id)s::text [],
    %(day)s::date [],
    %(metric_name)s::text [],
    %(dimension_key)s::text [],
    %(value)s::float8 [],
    %(dimensions)s::jsonb []
) AS given (
    tenant_id,
    day,
    metric_name,
    dimension_key,
    value,
    dimensions
)
