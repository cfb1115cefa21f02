-- Removes an experiment's variants that left the manifest and that nobody is assigned to.
-- Grain of the result: one row per variant removed. Key: (tenant_id, experiment_id, variant_id).
-- Parameters: tenant_id, experiment_id text, variant_ids text[] (those in the manifest).
DELETE FROM experiment_variants
WHERE experiment_variants.tenant_id = %(tenant_id)s
    AND experiment_variants.experiment_id = %(experiment_id)s
    AND experiment_variants.variant_id <> ALL (%(variant_ids)s)
    AND NOT EXISTS (
        SELECT FROM assignments
        WHERE assignments.tenant_id = experiment_variants.tenant_id
            AND assignments.experiment_id = experiment_variants.experiment_id
            AND assignments.variant_id = experiment_variants.variant_id
    )
RETURNING experiment_variants.variant_id
