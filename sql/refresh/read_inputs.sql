-- Reads the inputs that reach every day of a job, as they are and as the last refresh saw them.
-- Grain and key: one row per name: tenants, variants, funnels.
-- Parameters: funnels text (what stands for their configuration).
WITH present AS (
    SELECT
        'tenants' AS name,
        coalesce(string_agg(md5(tenant_id), ',' ORDER BY tenant_id COLLATE "C"), '') AS fingerprint
    FROM tenants
    UNION ALL
    SELECT
        'variants',
        coalesce(
            string_agg(
                md5(experiments.tenant_id)
                || md5(experiments.experiment_id)
                || md5(experiment_variants.variant_id),
                ','
                ORDER BY
                    experiments.tenant_id COLLATE "C",
                    experiments.experiment_id,
                    experiment_variants.variant_id
            ),
            ''
        )
    FROM experiments
    INNER JOIN experiment_variants
        ON experiment_variants.tenant_id = experiments.tenant_id
        AND experiment_variants.experiment_id = experiments.experiment_id
    WHERE experiments.status = 'RUNNING'
    UNION ALL
    SELECT
        'funnels',
        %(funnels)s::text
)

SELECT
    present.name,
    present.fingerprint,
    refresh_inputs.fingerprint AS seen
FROM present
LEFT JOIN refresh_inputs
    ON refresh_inputs.name = present.name
