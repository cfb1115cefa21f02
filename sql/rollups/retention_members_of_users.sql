-- Makes retention_members from the assignments of the new users alone.
-- Grain and key: one row per (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: none.
CREATE TABLE retention_members AS
SELECT
    tenant_id,
    anonymous_user_id,
    experiment_id,
    variant_id
FROM assignments
