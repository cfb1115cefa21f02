-- Adds to funnel_variants the variants in funnel_stamps that are new.
-- Grain and key: one row per (experiment_id, variant_id). A number once given stays.
-- Parameters: none.
INSERT INTO funnel_variants
SELECT
    (SELECT count(*) FROM funnel_variants) + row_number() OVER () AS dimension,
    carried.entry.key AS experiment_id,
    carried.entry.value AS variant_id
FROM (
    SELECT DISTINCT unnest(map_entries(experiment_map)) AS entry
    FROM funnel_stamps
) AS carried
WHERE carried.entry.value IS NOT NULL
    AND NOT EXISTS (
        SELECT 1
        FROM funnel_variants
        WHERE funnel_variants.experiment_id = carried.entry.key
            AND funnel_variants.variant_id = carried.entry.value
    )
