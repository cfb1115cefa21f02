-- How many users some experiments have assigned to each of their variants so far, as the last refresh counted them.
-- Grain and key: one row per (experiment_id, variant_id) with users.
-- Parameters: tenant_id text, experiment_ids text[].
SELECT
    assigned_counts.experiment_id,
    assigned_counts.variant_id,
    sum(assigned_counts.users)::bigint AS users
FROM assigned_counts
WHERE assigned_counts.tenant_id = %(tenant_id)s
    AND assigned_counts.experiment_id = ANY (%(experiment_ids)s::text[])
GROUP BY
    assigned_counts.experiment_id,
    assigned_counts.variant_id
