-- Counts all assignments into assigned_counts, which must be empty.
-- Grain and key: one row per (tenant_id, experiment_id, variant_id, day); day is the UTC day of assigned_at.
-- Parameters: none.
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
    (assigned_at AT TIME ZONE 'UTC')::date,
    count(*)
FROM assignments
GROUP BY
    tenant_id,
    experiment_id,
    variant_id,
    (assigned_at AT TIME ZONE 'UTC')::date
