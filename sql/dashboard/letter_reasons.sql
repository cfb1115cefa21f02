-- Why a tenant's kept dead letters were refused: the most frequent reasons, each with its newest letter.
-- Grain and key: reason, the most frequent first. Texts are cut: a page shows a sample, masked.
-- Parameters: tenant_id text, row_limit, sample_bytes integer.
WITH reasons AS (
    SELECT
        dead_letters.reason,
        count(*) AS letters,
        max(dead_letters.id) AS newest_id
    FROM dead_letters
    WHERE dead_letters.tenant_id = %(tenant_id)s
    GROUP BY dead_letters.reason
    ORDER BY
        count(*) DESC,
        dead_letters.reason
    LIMIT %(row_limit)s
)

SELECT
    reasons.reason,
    reasons.letters,
    newest.id,
    newest.received_at,
    newest.protocol,
    substring(newest.event FROM 1 FOR %(sample_bytes)s) AS event
FROM reasons
INNER JOIN dead_letters AS newest
    ON newest.id = reasons.newest_id
ORDER BY
    reasons.letters DESC,
    reasons.reason
