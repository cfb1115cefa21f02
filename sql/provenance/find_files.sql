-- Reads those of some files that are recorded.
-- Grain: one file; key path.
-- Parameters: paths text[].
SELECT
    file_id,
    path,
    day,
    rows,
    size,
    sha256,
    newest_received_at
FROM lake_files
WHERE path = ANY(%(paths)s::text[])
