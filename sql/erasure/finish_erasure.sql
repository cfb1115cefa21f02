-- Notes that an erasure is complete and proven.
-- Grain and key: erasure_id.
-- Parameters: erasure_id uuid, finished_at timestamptz.
UPDATE erasures
SET finished_at = %(finished_at)s
WHERE erasure_id = %(erasure_id)s
