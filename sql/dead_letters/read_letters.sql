-- Reads letters with their bytes.
-- Grain and key: (id), ascending.
-- Parameters: ids bigint[].
SELECT
    id,
    tenant_id,
    received_at,
    protocol,
    event_index,
    reason,
    envelope,
    event
FROM dead_letters
WHERE id = ANY(%(ids)s::bigint[])
ORDER BY id
