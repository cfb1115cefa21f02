-- Removes the records of some files.
-- Grain: one file; key file_id.
-- Parameters: file_ids bigint[].
DELETE FROM lake_files
WHERE file_id = ANY(%(file_ids)s::bigint[])
