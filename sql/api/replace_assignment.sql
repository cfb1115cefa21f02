-- Moves a user off a variant that is gone; does nothing when somebody else did or the variant is back.
-- Grain and key: (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: tenant_id, anonymous_user_id, experiment_id, gone_variant_id, variant_id text, assigned_at timestamptz.
UPDATE assignments SET
    variant_id = %(variant_id)s,
    assigned_at = %(assigned_at)s
WHERE assignments.tenant_id = %(tenant_id)s
    AND assignments.anonymous_user_id = %(anonymous_user_id)s
    AND assignments.experiment_id = %(experiment_id)s
    AND assignments.variant_id = %(gone_variant_id)s
    AND NOT EXISTS (
        SELECT FROM experiment_variants
        WHERE experiment_variants.tenant_id = assignments.tenant_id
            AND experiment_variants.experiment_id = assignments.experiment_id
            AND experiment_variants.variant_id = assignments.variant_id
    )
