-- A page of an experiment's audit log, the latest change first.
-- Grain and key: revision.
-- Parameters: tenant_id, experiment_id text, before bigint (the last revision of the page before; NULL: from the latest),
-- row_limit integer.
SELECT
    experiment_changes.change_id,
    experiment_changes.revision,
    experiment_changes.changed_at,
    experiment_changes.changed_by,
    experiment_changes.version,
    experiment_changes.changes,
    experiment_changes.note
FROM experiment_changes
WHERE experiment_changes.tenant_id = %(tenant_id)s
    AND experiment_changes.experiment_id = %(experiment_id)s
    AND (%(before)s::bigint IS NULL OR experiment_changes.revision < %(before)s::bigint)
ORDER BY experiment_changes.revision DESC
LIMIT %(row_limit)s
