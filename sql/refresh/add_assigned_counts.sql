-- Adds changes to the number of assignments per variant and day.
-- Grain and key: one row per (tenant_id, experiment_id, variant_id, day).
-- Parameters: tenant_ids, experiment_ids, variant_ids text[], days date[], users bigint[]: one element per row.
INSERT INTO assigned_counts (
    tenant_id,
    experiment_id,
    variant_id,
    day,
    users
)
SELECT
    tenant_id,
    experiment_id,
    variant_id,
    day,
    users
FROM unnest(
    %(tenant_ids)s::text[], %(experiment_ids)s::text[], %(variant_ids)s::text[], %(days)s::date[], %(users)s::bigint[]
) AS added (tenant_id, experiment_id, variant_id, day, users)
ON CONFLICT (tenant_id, experiment_id, variant_id, day) DO UPDATE SET
    users = assigned_counts.users + excluded.users
