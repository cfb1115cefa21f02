-- Removes variants that nobody is assigned to.
-- Grain and key: (tenant_id, experiment_id, variant_id).
-- Parameters: tenant_id, experiment_id text, variant_ids text[].
DELETE FROM experiment_variants
WHERE experiment_variants.tenant_id = %(tenant_id)s
    AND experiment_variants.experiment_id = %(experiment_id)s
    AND experiment_variants.variant_id = ANY (%(variant_ids)s)
