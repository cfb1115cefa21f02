-- What some changes of experiments did, and whether the experiment was changed again since.
-- Grain and key: one row per change that was made, in order of experiment_id.
-- Parameters: tenant_id text, change_ids uuid[].
SELECT
    experiment_changes.experiment_id,
    experiments.name,
    experiment_changes.revision,
    experiment_changes.changes,
    experiments.revision = experiment_changes.revision AS is_latest
FROM experiment_changes
INNER JOIN experiments
    ON experiments.tenant_id = experiment_changes.tenant_id
    AND experiments.experiment_id = experiment_changes.experiment_id
WHERE experiment_changes.tenant_id = %(tenant_id)s
    AND experiment_changes.change_id = ANY (%(change_ids)s::uuid[])
ORDER BY experiment_changes.experiment_id
