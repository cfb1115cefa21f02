-- Reads the assignments of the wanted users to variants of running experiments (Postgres).
-- Grain: one row per assignment; key (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: none.
SELECT
    assignments.tenant_id,
    assignments.anonymous_user_id,
    assignments.experiment_id,
    assignments.variant_id
FROM wanted_users
INNER JOIN assignments
    ON assignments.tenant_id = wanted_users.tenant_id
    AND assignments.anonymous_user_id = wanted_users.anonymous_user_id
INNER JOIN experiment_variants
    ON experiment_variants.tenant_id = assignments.tenant_id
    AND experiment_variants.experiment_id = assignments.experiment_id
    AND experiment_variants.variant_id = assignments.variant_id
INNER JOIN experiments
    ON experiments.tenant_id = assignments.tenant_id
    AND experiments.experiment_id = assignments.experiment_id
WHERE experiments.status = 'RUNNING'
