-- Reads what became of each tenant's refused events.
-- Grain and key: (tenant_id); tenants that never had a refused event have no row.
-- Parameters: tenant_id text or NULL for any.
WITH kept AS (
    SELECT
        tenant_id,
        count(*) AS letters,
        sum(size)::bigint AS bytes
    FROM dead_letters
    GROUP BY tenant_id
),

gone AS (
    SELECT
        tenant_id,
        sum(replayed)::bigint AS replayed,
        sum(dropped)::bigint AS dropped,
        sum(not_kept)::bigint AS not_kept
    FROM dead_letter_ledger
    GROUP BY tenant_id
)

SELECT
    coalesce(kept.tenant_id, gone.tenant_id) AS tenant_id,
    coalesce(kept.letters, 0) AS letters,
    coalesce(kept.bytes, 0) AS bytes,
    coalesce(gone.replayed, 0) AS replayed,
    coalesce(gone.dropped, 0) AS dropped,
    coalesce(gone.not_kept, 0) AS not_kept
FROM kept
FULL JOIN gone
    ON gone.tenant_id = kept.tenant_id
WHERE %(tenant_id)s::text IS NULL
    OR coalesce(kept.tenant_id, gone.tenant_id) = %(tenant_id)s::text
ORDER BY coalesce(kept.tenant_id, gone.tenant_id)
