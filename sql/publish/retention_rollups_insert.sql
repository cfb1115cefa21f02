-- Adds a run's rows to retention_rollups. Not by COPY, which row-level security does not allow.
-- Grain and key: those of the table.
-- Parameters: run_id uuid, and for each other column its values as an array, all in one order.
INSERT INTO retention_rollups (
    tenant_id,
    day,
    days_after,
    dimension_key,
    experiment_id,
    variant_id,
    cohort_size,
    retained_users,
    complete_at,
    run_id
)
SELECT
    given.tenant_id,
    given.day,
    given.days_after,
    given.dimension_key,
    given.experiment_id,
    given.variant_id,
    given.cohort_size,
    given.retained_users,
    given.complete_at,
    %(run_id)s
FROM unnest(
    %(tenant_id)s::text [],
    %(day)s::date [],
    %(days_after)s::integer [],
    %(dimension_key)s::text [],
    %(experiment_id)s::text [],
    %(variant_id)s::text [],
    %(cohort_size)s::bigint [],
    %(retained_users)s::bigint [],
    %(complete_at)s::timestamptz []
) AS given (
    tenant_id,
    day,
    days_after,
    dimension_key,
    experiment_id,
    variant_id,
    cohort_size,
    retained_users,
    complete_at
)
