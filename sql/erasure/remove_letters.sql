-- Removes dead letters; those that a replay took meanwhile are gone already.
-- Grain of the result: one row per UTC day of receipt.
-- Parameters: ids bigint[].
WITH removed AS (
    DELETE FROM dead_letters
    WHERE id = ANY(%(ids)s::bigint[])
    RETURNING
        received_at,
        size
)

SELECT
    (received_at AT TIME ZONE 'UTC')::date AS day,
    count(*) AS letters,
    sum(size)::bigint AS bytes
FROM removed
GROUP BY (received_at AT TIME ZONE 'UTC')::date
