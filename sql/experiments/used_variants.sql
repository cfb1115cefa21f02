-- Which of some variants somebody is assigned to.
-- Grain and key: variant_id.
-- Parameters: tenant_id, experiment_id text, variant_ids text[].
SELECT given.variant_id
FROM unnest(%(variant_ids)s::text []) AS given (variant_id)
WHERE EXISTS (
    SELECT FROM assignments
    WHERE assignments.tenant_id = %(tenant_id)s
        AND assignments.experiment_id = %(experiment_id)s
        AND assignments.variant_id = given.variant_id
)
