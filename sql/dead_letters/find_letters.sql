-- Finds letters, the newest first, and says how many there are in all.
-- Grain and key: (id), descending; columns as in read_letters after matching, the number of letters that fit.
-- Parameters: tenant_id text or NULL for any, reason text (a part of it, in any case) or NULL for any, letters bigint.
SELECT
    count(*) OVER () AS matching,
    id,
    tenant_id,
    received_at,
    protocol,
    event_index,
    reason,
    envelope,
    event
FROM dead_letters
WHERE (%(tenant_id)s::text IS NULL OR tenant_id = %(tenant_id)s::text)
    AND (%(reason)s::text IS NULL OR strpos(lower(reason), lower(%(reason)s::text)) > 0)
ORDER BY id DESC
LIMIT %(letters)s
