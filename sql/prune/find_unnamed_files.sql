-- Finds recorded files that no run's record names any more.
-- Grain: one file; key file_id.
-- Parameters: before timestamptz (recorded before).
SELECT
    file_id,
    path
FROM lake_files
WHERE recorded_at < %(before)s
    AND NOT EXISTS (
        SELECT
        FROM run_provenance
        WHERE run_provenance.file_ids @> ARRAY[lake_files.file_id]
    )
