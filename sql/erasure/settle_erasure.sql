-- Notes that the lake's events were taken out of every count in Postgres; no row when that was done before.
-- Grain and key: erasure_id.
-- Parameters: erasure_id uuid.
UPDATE erasures
SET settled_at = now()
WHERE erasure_id = %(erasure_id)s
    AND settled_at IS NULL
RETURNING erasure_id
