-- Brings one variant in line with the manifest; touches no row that already is.
-- Grain and key: (tenant_id, experiment_id, variant_id). The number of rows affected is 1 when something changed.
-- Parameters: tenant_id, experiment_id, variant_id, variant_name text, is_control boolean, weight double precision, config_override jsonb.
INSERT INTO experiment_variants (
    tenant_id,
    experiment_id,
    variant_id,
    variant_name,
    is_control,
    weight,
    config_override
)
VALUES (
    %(tenant_id)s,
    %(experiment_id)s,
    %(variant_id)s,
    %(variant_name)s,
    %(is_control)s,
    %(weight)s,
    %(config_override)s
)
ON CONFLICT (tenant_id, experiment_id, variant_id) DO UPDATE SET
    variant_name = excluded.variant_name,
    is_control = excluded.is_control,
    weight = excluded.weight,
    config_override = excluded.config_override
WHERE (
    experiment_variants.variant_name,
    experiment_variants.is_control,
    experiment_variants.weight,
    experiment_variants.config_override
) IS DISTINCT FROM (
    excluded.variant_name,
    excluded.is_control,
    excluded.weight,
    excluded.config_override
)
