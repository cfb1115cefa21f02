-- All versions of an experiment with their variants, the first one first.
-- Grain and key: version.
-- Parameters: tenant_id, experiment_id text.
SELECT
    experiment_versions.version,
    experiment_versions.since,
    experiment_versions.variants
FROM experiment_versions
WHERE experiment_versions.tenant_id = %(tenant_id)s
    AND experiment_versions.experiment_id = %(experiment_id)s
ORDER BY experiment_versions.version
