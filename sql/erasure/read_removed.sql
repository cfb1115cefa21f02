-- Reads what an erasure has removed from the database.
-- Grain: one row.
-- Parameters: erasure_id uuid.
SELECT removed
FROM erasures
WHERE erasure_id = %(erasure_id)s
