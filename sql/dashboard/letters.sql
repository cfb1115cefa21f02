-- A tenant's newest dead letters, of one reason or of all, and how many there are.
-- Grain and key: id, descending. Events are cut: a page shows a sample, masked.
-- Parameters: tenant_id text, reason text (NULL: all), row_limit, sample_bytes integer.
SELECT
    dead_letters.id,
    dead_letters.received_at,
    dead_letters.protocol,
    dead_letters.reason,
    substring(dead_letters.event FROM 1 FOR %(sample_bytes)s) AS event,
    count(*) OVER () AS matching
FROM dead_letters
WHERE dead_letters.tenant_id = %(tenant_id)s
    AND (%(reason)s::text IS NULL OR dead_letters.reason = %(reason)s::text)
ORDER BY dead_letters.id DESC
LIMIT %(row_limit)s
