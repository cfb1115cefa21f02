-- Records the variants of a version; those of a version that nobody was assigned by yet are replaced.
-- Grain and key: (tenant_id, experiment_id, version).
-- Parameters: tenant_id, experiment_id text, version integer, variants jsonb.
INSERT INTO experiment_versions (
    tenant_id,
    experiment_id,
    version,
    variants
)
VALUES (
    %(tenant_id)s,
    %(experiment_id)s,
    %(version)s,
    %(variants)s
)
ON CONFLICT (tenant_id, experiment_id, version) DO UPDATE SET
    variants = excluded.variants,
    since = now()
