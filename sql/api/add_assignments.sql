-- Adds assignments of a group of users; where another transaction was faster, its assignment stays.
-- Grain: none; the row count says how many were added. Key: (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: tenant_id text, assignments json (list of objects). Rows go in in key order: two writers cannot deadlock.
INSERT INTO assignments (
    tenant_id,
    anonymous_user_id,
    experiment_id,
    variant_id,
    assignment_version,
    assigned_at
)
SELECT
    %(tenant_id)s,
    chosen.anonymous_user_id,
    chosen.experiment_id,
    chosen.variant_id,
    1,
    chosen.assigned_at
FROM json_to_recordset(%(assignments)s::json) AS chosen (
    anonymous_user_id text,
    experiment_id text,
    variant_id text,
    assigned_at timestamptz
)
ORDER BY
    chosen.anonymous_user_id COLLATE "C",
    chosen.experiment_id COLLATE "C"
ON CONFLICT (tenant_id, anonymous_user_id, experiment_id) DO NOTHING
