-- Closes an experiment's variants that left the manifest to new users: those assigned to them keep them.
-- Grain of the result: one row per variant kept, whether closed now or before. Key: (tenant_id, experiment_id, variant_id).
-- Parameters: tenant_id, experiment_id text, variant_ids text[] (those in the manifest).
WITH closed AS (
    UPDATE experiment_variants SET
        weight = 0
    WHERE experiment_variants.tenant_id = %(tenant_id)s
        AND experiment_variants.experiment_id = %(experiment_id)s
        AND experiment_variants.variant_id <> ALL (%(variant_ids)s)
        AND experiment_variants.weight <> 0
    RETURNING experiment_variants.variant_id
)

SELECT
    experiment_variants.variant_id,
    closed.variant_id IS NOT NULL AS changed
FROM experiment_variants
LEFT JOIN closed
    ON closed.variant_id = experiment_variants.variant_id
WHERE experiment_variants.tenant_id = %(tenant_id)s
    AND experiment_variants.experiment_id = %(experiment_id)s
    AND experiment_variants.variant_id <> ALL (%(variant_ids)s)
ORDER BY experiment_variants.variant_id
