-- Locks the next letters to replay; those that another replay or a drop holds are passed over.
-- Grain and key: (id), ascending.
-- Parameters: after, upto bigint (ids), ids bigint[] or NULL for any, tenant_id text or NULL for any, letters bigint.
SELECT
    id,
    size
FROM dead_letters
WHERE id > %(after)s
    AND id <= %(upto)s
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[]))
    AND (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s::text)
ORDER BY id
LIMIT %(letters)s
FOR UPDATE SKIP LOCKED
