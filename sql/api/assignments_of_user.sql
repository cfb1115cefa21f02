-- One user's assignments, and the revision of the tenant's experiments as of the same moment.
-- Grain: one row. The revision changes with every change to an experiment or a variant, however it was made.
-- Parameters: tenant_id, anonymous_user_id text.
SELECT
    concat(
        (
            SELECT string_agg(concat(experiments.ctid, experiments.xmin), ',' ORDER BY experiments.experiment_id)
            FROM experiments
            WHERE experiments.tenant_id = %(tenant_id)s
        ),
        ';',
        (
            SELECT string_agg(
                concat(experiment_variants.ctid, experiment_variants.xmin),
                ','
                ORDER BY experiment_variants.experiment_id, experiment_variants.variant_id
            )
            FROM experiment_variants
            WHERE experiment_variants.tenant_id = %(tenant_id)s
        )
    ) AS revision,
    array_agg(assignments.experiment_id) AS experiment_ids,
    array_agg(assignments.variant_id) AS variant_ids
FROM assignments
WHERE assignments.tenant_id = %(tenant_id)s
    AND assignments.anonymous_user_id = %(anonymous_user_id)s
