-- Reads how many letters a tenant has, and their bytes.
-- Grain: one row.
-- Parameters: tenant_id text.
SELECT
    coalesce(sum(letters), 0)::bigint AS letters,
    coalesce(sum(bytes), 0)::bigint AS bytes
FROM dead_letter_totals
WHERE tenant_id = %(tenant_id)s
