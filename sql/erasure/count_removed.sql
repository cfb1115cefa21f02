-- Adds to what an erasure has removed from the database, by table, in the transaction that removes it.
-- Grain and key: erasure_id.
-- Parameters: erasure_id uuid, removed jsonb (an object of numbers).
UPDATE erasures
SET removed = (
    SELECT jsonb_object_agg(counts.name, counts.total)
    FROM (
        SELECT
            entries.key AS name,
            sum(entries.value::bigint) AS total
        FROM (
            SELECT * FROM jsonb_each_text(erasures.removed)
            UNION ALL
            SELECT * FROM jsonb_each_text(%(removed)s)
        ) AS entries
        GROUP BY entries.key
    ) AS counts
)
WHERE erasure_id = %(erasure_id)s
