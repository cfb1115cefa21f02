-- Adds assignments of one user; where another request was faster, its assignment stays.
-- Grain of the result: one row per assignment added. Key: (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: tenant_id, anonymous_user_id text, experiment_ids, variant_ids text[] (in order of experiment), assigned_at timestamptz.
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
    %(anonymous_user_id)s,
    chosen.experiment_id,
    chosen.variant_id,
    1,
    %(assigned_at)s
FROM unnest(%(experiment_ids)s::text[], %(variant_ids)s::text[]) AS chosen (experiment_id, variant_id)
ON CONFLICT (tenant_id, anonymous_user_id, experiment_id) DO NOTHING
RETURNING experiment_id
