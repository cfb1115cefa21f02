-- Reads which version of which table of the lake arrival_counts holds.
-- Grain: one row, or none before the first count.
-- Parameters: none.
SELECT
    table_id,
    lake_version
FROM arrival_progress
