-- The 24 hour logging rate of variants over some days: cohorts and those of them who submitted, added up.
-- Grain and key: one row per (experiment_id, variant_id) with a published day.
-- Parameters: tenant_id text, experiment_ids text[], first_day, last_day date (both included).
SELECT
    experiment_metric_rollups.experiment_id,
    experiment_metric_rollups.variant_id,
    sum(cohorts.size)::bigint AS cohort_size,
    sum(round(experiment_metric_rollups.value * cohorts.size))::bigint AS converted
FROM experiment_metric_rollups
CROSS JOIN LATERAL (
    SELECT coalesce((experiment_metric_rollups.dimensions ->> 'cohort_size')::bigint, 0) AS size
) AS cohorts
WHERE experiment_metric_rollups.tenant_id = %(tenant_id)s
    AND experiment_metric_rollups.experiment_id = ANY (%(experiment_ids)s::text[])
    AND experiment_metric_rollups.day BETWEEN %(first_day)s AND %(last_day)s
    AND experiment_metric_rollups.metric_name = 'logging_rate_24h_by_variant'
GROUP BY
    experiment_metric_rollups.experiment_id,
    experiment_metric_rollups.variant_id
