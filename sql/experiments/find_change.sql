-- Whether a change was made already, by an attempt whose answer was lost.
-- Grain and key: change_id.
-- Parameters: tenant_id text, change_id uuid.
SELECT experiment_changes.revision
FROM experiment_changes
WHERE experiment_changes.tenant_id = %(tenant_id)s
    AND experiment_changes.change_id = %(change_id)s
