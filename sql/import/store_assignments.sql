-- Stores the staged assignments of users that have none yet in that experiment; an existing one always stays.
-- Grain of the result: one row, the number stored. Key: (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: none. Rows are inserted in key order, so that two writers cannot deadlock.
WITH stored AS (
    INSERT INTO assignments (
        tenant_id,
        anonymous_user_id,
        experiment_id,
        variant_id,
        assignment_version,
        assigned_at
    )
    SELECT DISTINCT ON (tenant_id, anonymous_user_id, experiment_id)
        tenant_id,
        anonymous_user_id,
        experiment_id,
        variant_id,
        assignment_version,
        assigned_at
    FROM incoming_assignments
    ORDER BY tenant_id, anonymous_user_id, experiment_id, position
    ON CONFLICT (tenant_id, anonymous_user_id, experiment_id) DO NOTHING
    RETURNING 1
)

SELECT count(*) AS stored
FROM stored
