-- Makes new_user_assignments: which new users hold which variant.
-- Grain and key: one row per (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: none.
CREATE TABLE new_user_assignments AS
SELECT
    assignments.tenant_id,
    assignments.anonymous_user_id,
    assignments.experiment_id,
    assignments.variant_id
FROM assignments
SEMI JOIN new_users
    ON new_users.tenant_id = assignments.tenant_id
    AND new_users.anonymous_user_id = assignments.anonymous_user_id
