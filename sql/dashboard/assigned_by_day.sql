-- How many users an experiment assigned to each variant on each UTC day, as the last refresh counted them.
-- Grain and key: one row per (variant_id, day) with users, in order of day and variant.
-- Parameters: tenant_id, experiment_id text.
SELECT
    assigned_counts.variant_id,
    assigned_counts.day,
    assigned_counts.users
FROM assigned_counts
WHERE assigned_counts.tenant_id = %(tenant_id)s
    AND assigned_counts.experiment_id = %(experiment_id)s
    AND assigned_counts.users <> 0
ORDER BY
    assigned_counts.day,
    assigned_counts.variant_id
