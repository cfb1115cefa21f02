-- Makes retention_members: which new users hold which variant.
-- Grain and key: one row per (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: assigned_before timestamptz.
CREATE TABLE retention_members AS
SELECT
    assignments.tenant_id,
    assignments.anonymous_user_id,
    assignments.experiment_id,
    assignments.variant_id
FROM assignments
SEMI JOIN new_users
    ON new_users.tenant_id = assignments.tenant_id
    AND new_users.anonymous_user_id = assignments.anonymous_user_id
WHERE assignments.assigned_at < $assigned_before
