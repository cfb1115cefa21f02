-- Sums each variant's cohorts over a range of days, and reads how many users it has at the end of it.
-- Grain: one row per variant. Key: (experiment_id, variant_id).
-- Parameters: first, last (date, both included; days whose 24 hours are over), newest (date, the last published day).
SELECT
    rollups.experiment_id,
    rollups.variant_id,
    experiment_variants.variant_name,
    experiment_variants.is_control,
    max(rollups.value) FILTER (
        WHERE rollups.metric_name = 'users_assigned' AND rollups.day = %(newest)s
    )::bigint AS users_assigned,
    coalesce(
        sum((rollups.dimensions ->> 'cohort_size')::bigint) FILTER (
            WHERE rollups.metric_name = 'logging_rate_24h_by_variant' AND rollups.day BETWEEN %(first)s AND %(last)s
        ),
        0
    )::bigint AS cohort_size,
    coalesce(
        sum((rollups.dimensions ->> 'converted_users')::bigint) FILTER (
            WHERE rollups.metric_name = 'logging_rate_24h_by_variant' AND rollups.day BETWEEN %(first)s AND %(last)s
        ),
        0
    )::bigint AS converted_users
FROM experiment_metric_rollups AS rollups
INNER JOIN experiment_variants
    ON experiment_variants.tenant_id = rollups.tenant_id
    AND experiment_variants.experiment_id = rollups.experiment_id
    AND experiment_variants.variant_id = rollups.variant_id
WHERE rollups.tenant_id = 'default'
GROUP BY rollups.experiment_id, rollups.variant_id, experiment_variants.variant_name, experiment_variants.is_control
ORDER BY rollups.experiment_id, rollups.variant_id
