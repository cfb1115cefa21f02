-- Adds a run's rows to funnel_rollups. Not by COPY, which row-level security does not allow.
-- Grain and key: those of the table.
-- Parameters: run_id uuid, and for each other column its values as an array, all in one order.
INSERT INTO funnel_rollups (
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    experiment_id,
    variant_id,
    users_count,
    events_count,
    run_id
)
SELECT
    given.tenant_id,
    given.day,
    given.funnel_name,
    given.step_name,
    given.dimension_key,
    given.experiment_id,
    given.variant_id,
    given.users_count,
    given.events_count,
    %(run_id)s
FROM unnest(
    %(tenant_id)s::text [],
    %(day)s::date [],
    %(funnel_name)s::text [],
    %(step_name)s::text [],
    %(dimension_key)s::text [],
    %(experiment_id)s::text [],
    %(variant_id)s::text [],
    %(users_count)s::bigint [],
    %(events_count)s::bigint []
) AS given (
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    experiment_id,
    variant_id,
    users_count,
    events_count
)
