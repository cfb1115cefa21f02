-- All experiments, of any status, with their variants.
-- Grain and key: one row per experiment, in order of experiment_id; variants as a JSON list, empty when there are none.
-- Parameters: tenant_id text, experiment_id text (NULL: all).
SELECT
    experiments.experiment_id,
    experiments.status,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting,
    coalesce(
        jsonb_agg(
            jsonb_build_object(
                'variant_id', experiment_variants.variant_id,
                'variant_name', experiment_variants.variant_name,
                'weight', experiment_variants.weight,
                'is_control', experiment_variants.is_control
            )
            ORDER BY experiment_variants.variant_id
        ) FILTER (WHERE experiment_variants.variant_id IS NOT NULL),
        '[]'
    ) AS variants
FROM experiments
LEFT JOIN experiment_variants
    ON experiment_variants.tenant_id = experiments.tenant_id
    AND experiment_variants.experiment_id = experiments.experiment_id
WHERE experiments.tenant_id = %(tenant_id)s
    AND (%(experiment_id)s::text IS NULL OR experiments.experiment_id = %(experiment_id)s)
GROUP BY
    experiments.experiment_id,
    experiments.status,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting
ORDER BY experiments.experiment_id
