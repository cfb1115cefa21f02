-- One experiment with its variants, those that take no new users any more included.
-- Grain and key: (tenant_id, experiment_id); variants as a JSON list in the order they were given.
-- Parameters: tenant_id, experiment_id text.
SELECT
    experiments.experiment_id,
    experiments.name,
    experiments.description,
    experiments.status,
    experiments.start_at,
    experiments.end_at,
    experiments.targeting,
    experiments.traffic_allocation,
    experiments.layer,
    experiments.layer_from,
    experiments.layer_to,
    experiments.allocation_version,
    experiments.version,
    experiments.revision,
    experiments.started_at,
    experiments.created_at,
    experiments.updated_at,
    variants_of_experiment(experiments.tenant_id, experiments.experiment_id) AS variants
FROM experiments
WHERE experiments.tenant_id = %(tenant_id)s
    AND experiments.experiment_id = %(experiment_id)s
