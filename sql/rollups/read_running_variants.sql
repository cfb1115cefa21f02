-- Reads the variants of the experiments that are running (Postgres).
-- Grain: one row per variant; key (tenant_id, experiment_id, variant_id).
-- Parameters: none.
SELECT
    experiment_variants.tenant_id,
    experiment_variants.experiment_id,
    experiment_variants.variant_id
FROM experiment_variants
INNER JOIN experiments
    ON experiments.tenant_id = experiment_variants.tenant_id
    AND experiments.experiment_id = experiment_variants.experiment_id
WHERE experiments.status = 'RUNNING'
ORDER BY
    experiment_variants.tenant_id,
    experiment_variants.experiment_id,
    experiment_variants.variant_id
