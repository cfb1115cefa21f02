-- Moves users off variants that are gone; does nothing where somebody else did or the variant is back.
-- Grain: none; the row count says how many were moved. Key: (tenant_id, anonymous_user_id, experiment_id).
-- Parameters: tenant_id text, assignments json (list of objects). Rows are locked in key order: two writers cannot deadlock.
WITH chosen AS (
    SELECT
        assignments.anonymous_user_id,
        assignments.experiment_id,
        given.gone_variant_id,
        given.variant_id,
        given.assigned_at
    FROM json_to_recordset(%(assignments)s::json) AS given (
        anonymous_user_id text,
        experiment_id text,
        gone_variant_id text,
        variant_id text,
        assigned_at timestamptz
    )
    INNER JOIN assignments
        ON assignments.tenant_id = %(tenant_id)s
        AND assignments.anonymous_user_id = given.anonymous_user_id
        AND assignments.experiment_id = given.experiment_id
    ORDER BY
        assignments.anonymous_user_id,
        assignments.experiment_id
    FOR UPDATE OF assignments
)

UPDATE assignments SET
    variant_id = chosen.variant_id,
    assigned_at = chosen.assigned_at
FROM chosen
WHERE assignments.tenant_id = %(tenant_id)s
    AND assignments.anonymous_user_id = chosen.anonymous_user_id
    AND assignments.experiment_id = chosen.experiment_id
    AND assignments.variant_id = chosen.gone_variant_id
    AND NOT EXISTS (
        SELECT FROM experiment_variants
        WHERE experiment_variants.tenant_id = assignments.tenant_id
            AND experiment_variants.experiment_id = assignments.experiment_id
            AND experiment_variants.variant_id = assignments.variant_id
    )
