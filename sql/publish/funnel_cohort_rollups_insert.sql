-- Adds a run's rows to funnel_cohort_rollups. Not by COPY, which row-level security does not allow.
-- Grain and key: those of the table.
-- Parameters: run_id uuid, and for each other column its values as an array, all in one order.
INSERT INTO funnel_cohort_rollups (
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    step_number,
    experiment_id,
    variant_id,
    users_count,
    median_seconds,
    window_seconds,
    complete_at,
    run_id
)
SELECT
    given.tenant_id,
    given.day,
    given.funnel_name,
    given.step_name,
    given.dimension_key,
    given.step_number,
    given.experiment_id,
    given.variant_id,
    given.users_count,
    given.median_seconds,
    given.window_seconds,
    given.complete_at,
    %(run_id)s
FROM unnest(
    %(tenant_id)s::text [],
    %(day)s::date [],
    %(funnel_name)s::text [],
    %(step_name)s::text [],
    %(dimension_key)s::text [],
    %(step_number)s::integer [],
    %(experiment_id)s::text [],
    %(variant_id)s::text [],
    %(users_count)s::bigint [],
    %(median_seconds)s::float8 [],
    %(window_seconds)s::float8 [],
    %(complete_at)s::timestamptz []
) AS given (
    tenant_id,
    day,
    funnel_name,
    step_name,
    dimension_key,
    step_number,
    experiment_id,
    variant_id,
    users_count,
    median_seconds,
    window_seconds,
    complete_at
)
