-- Drops a tenant's oldest letters beyond its cap, at most a thousand; letters that somebody else has locked are left.
-- Grain of the result: one row per UTC day of receipt that lost any. Excess and candidates are read at one moment, so
-- that two that drop at once choose the same letters and not twice as many.
-- Parameters: tenant_id text, letters, bytes bigint (the cap).
WITH excess AS (
    SELECT
        sum(letters) - %(letters)s AS letters,
        sum(bytes) - %(bytes)s AS bytes
    FROM dead_letter_totals
    WHERE tenant_id = %(tenant_id)s
),

oldest AS (
    SELECT
        id,
        row_number() OVER (ORDER BY id) AS position,
        sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS bytes_before
    FROM (
        SELECT
            id,
            size
        FROM dead_letters
        WHERE tenant_id = %(tenant_id)s
        ORDER BY id
        LIMIT (
            SELECT CASE WHEN excess.bytes > 0 THEN 1000 ELSE least(greatest(excess.letters, 0), 1000) END
            FROM excess
        )
    ) AS candidates
),

locked AS (
    SELECT dead_letters.id
    FROM dead_letters
    WHERE dead_letters.id IN (
        SELECT oldest.id
        FROM oldest
        CROSS JOIN excess
        WHERE oldest.position <= excess.letters
            OR oldest.bytes_before < excess.bytes
    )
    ORDER BY dead_letters.id
    FOR UPDATE SKIP LOCKED
),

dropped AS (
    DELETE FROM dead_letters
    WHERE id IN (
        SELECT locked.id
        FROM locked
    )
    RETURNING
        received_at,
        size
)

SELECT
    (received_at AT TIME ZONE 'UTC')::date AS day,
    count(*) AS letters,
    sum(size)::bigint AS bytes
FROM dropped
GROUP BY (received_at AT TIME ZONE 'UTC')::date
