-- Adds an entry to the audit log.
-- Grain and key: (tenant_id, experiment_id, revision).
-- Parameters: tenant_id, experiment_id text, revision bigint, change_id uuid, changed_by text, version integer,
-- changes jsonb ({field: {before, after}}), note text.
INSERT INTO experiment_changes (
    tenant_id,
    experiment_id,
    revision,
    change_id,
    changed_by,
    version,
    changes,
    note
)
VALUES (
    %(tenant_id)s,
    %(experiment_id)s,
    %(revision)s,
    %(change_id)s,
    %(changed_by)s,
    %(version)s,
    %(changes)s,
    %(note)s
)
