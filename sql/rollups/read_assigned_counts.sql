-- Reads how many assignments to variants of running experiments were made on each day (Postgres).
-- Grain and key: one row per (tenant_id, experiment_id, variant_id, day).
-- Parameters: none.
SELECT
    assigned_counts.tenant_id,
    assigned_counts.experiment_id,
    assigned_counts.variant_id,
    assigned_counts.day,
    assigned_counts.users
FROM assigned_counts
INNER JOIN experiments
    ON experiments.tenant_id = assigned_counts.tenant_id
    AND experiments.experiment_id = assigned_counts.experiment_id
WHERE experiments.status = 'RUNNING'
    AND assigned_counts.users <> 0
