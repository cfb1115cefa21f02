-- Removes letters whose events are stored in the same transaction.
-- Grain: one row per letter.
-- Parameters: ids bigint[].
DELETE FROM dead_letters
WHERE id = ANY(%(ids)s::bigint[])
