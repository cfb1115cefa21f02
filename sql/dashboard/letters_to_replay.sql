-- The ids of a tenant's oldest dead letters, which a replay of all of them begins with.
-- Grain and key: id, ascending.
-- Parameters: tenant_id text, reason text (NULL: all), row_limit integer.
SELECT dead_letters.id
FROM dead_letters
WHERE dead_letters.tenant_id = %(tenant_id)s
    AND (%(reason)s::text IS NULL OR dead_letters.reason = %(reason)s::text)
ORDER BY dead_letters.id
LIMIT %(row_limit)s
