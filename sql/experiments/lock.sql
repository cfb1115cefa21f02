-- Locks an experiment until the transaction ends: whoever changes it reads and writes as one step.
-- Grain and key: (tenant_id, experiment_id); no row when there is none.
-- Parameters: tenant_id, experiment_id text. What it holds is read by the next statement, which sees the last change.
SELECT experiments.experiment_id
FROM experiments
WHERE experiments.tenant_id = %(tenant_id)s
    AND experiments.experiment_id = %(experiment_id)s
FOR UPDATE
