-- Removes the person's assignments.
-- Grain: one row per experiment.
-- Parameters: tenant_id, user_id text.
DELETE FROM assignments
WHERE tenant_id = %(tenant_id)s
    AND anonymous_user_id = %(user_id)s
