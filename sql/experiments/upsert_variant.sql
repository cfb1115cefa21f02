-- Adds a variant to an experiment, or brings it to what it is to be.
-- Grain and key: (tenant_id, experiment_id, variant_id).
-- Parameters: tenant_id, experiment_id, variant_id, variant_name text, is_control boolean, weight double precision,
-- config_override jsonb, position integer (its place among the variants).
INSERT INTO experiment_variants (
    tenant_id,
    experiment_id,
    variant_id,
    variant_name,
    is_control,
    weight,
    config_override,
    position
)
VALUES (
    %(tenant_id)s,
    %(experiment_id)s,
    %(variant_id)s,
    %(variant_name)s,
    %(is_control)s,
    %(weight)s,
    %(config_override)s,
    %(position)s
)
ON CONFLICT (tenant_id, experiment_id, variant_id) DO UPDATE SET
    variant_name = excluded.variant_name,
    is_control = excluded.is_control,
    weight = excluded.weight,
    config_override = excluded.config_override,
    position = excluded.position
