-- The tenant's running experiments with their variants, whatever their dates and targeting.
-- Grain: one row per experiment, in order of experiment_id; variants as a JSON list, empty when there are none.
-- Parameters: tenant_id text.
SELECT
    experiments.experiment_id,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting,
    coalesce(
        jsonb_agg(
            jsonb_build_object(
                'variant_id', experiment_variants.variant_id,
                'variant_name', experiment_variants.variant_name,
                'weight', experiment_variants.weight,
                'config_override', experiment_variants.config_override
            )
        ) FILTER (WHERE experiment_variants.variant_id IS NOT NULL),
        '[]'
    ) AS variants,
    experiments.traffic_allocation,
    experiments.allocation_salt,
    experiments.layer,
    coalesce(experiments.layer_from, 0) AS layer_from,
    coalesce(experiments.layer_to, 1) AS layer_to
FROM experiments
LEFT JOIN experiment_variants
    ON experiment_variants.tenant_id = experiments.tenant_id
    AND experiment_variants.experiment_id = experiments.experiment_id
WHERE experiments.tenant_id = %(tenant_id)s
    AND experiments.status = 'RUNNING'
GROUP BY
    experiments.experiment_id,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting,
    experiments.traffic_allocation,
    experiments.allocation_salt,
    experiments.layer,
    experiments.layer_from,
    experiments.layer_to
ORDER BY experiments.experiment_id
