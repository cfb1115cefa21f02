-- Compares the running totals that the cap on dead letters goes by with the letters that are there, at one moment.
-- Grain and key: (tenant_id); only tenants whose totals are wrong.
-- Parameters: none.
WITH counted AS (
    SELECT
        tenant_id,
        sum(letters)::bigint AS letters,
        sum(bytes)::bigint AS bytes
    FROM dead_letter_totals
    GROUP BY tenant_id
),

found AS (
    SELECT
        tenant_id,
        count(*) AS letters,
        sum(size)::bigint AS bytes
    FROM dead_letters
    GROUP BY tenant_id
)

SELECT
    tenant_id,
    coalesce(counted.letters, 0) AS counted_letters,
    coalesce(counted.bytes, 0) AS counted_bytes,
    coalesce(found.letters, 0) AS letters,
    coalesce(found.bytes, 0) AS bytes
FROM counted
FULL JOIN found USING (tenant_id)
WHERE (coalesce(counted.letters, 0), coalesce(counted.bytes, 0))
    <> (coalesce(found.letters, 0), coalesce(found.bytes, 0))
ORDER BY tenant_id
