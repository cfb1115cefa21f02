-- Which version of the lake arrival_counts holds, and since when.
-- Grain: one row, or none before the first refresh.
-- Parameters: none.
SELECT
    arrival_progress.lake_version,
    arrival_progress.counted_at
FROM arrival_progress
