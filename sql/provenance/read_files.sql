-- Reads recorded files.
-- Grain: one file; key file_id.
-- Parameters: file_ids bigint[].
SELECT
    file_id,
    path,
    day,
    rows,
    size,
    sha256,
    newest_received_at
FROM lake_files
WHERE file_id = ANY(%(file_ids)s::bigint[])
