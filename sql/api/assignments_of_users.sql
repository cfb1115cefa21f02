-- The assignments of a group of users, and the revision of the tenant's experiments as of the same moment.
-- Grain: one row; three JSON lists in one order. The revision changes with every change to an experiment or a variant.
-- Parameters: tenant_id text, users json (list of anonymous_user_id).
SELECT
    experiments_revision(%(tenant_id)s) AS revision,
    coalesce(json_agg(assignments.anonymous_user_id)::text, '[]') AS users,
    coalesce(json_agg(assignments.experiment_id)::text, '[]') AS experiment_ids,
    coalesce(json_agg(assignments.variant_id)::text, '[]') AS variant_ids
FROM assignments
WHERE assignments.tenant_id = %(tenant_id)s
    AND assignments.anonymous_user_id = ANY (ARRAY(SELECT json_array_elements_text(%(users)s::json)))
