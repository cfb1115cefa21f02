-- Makes funnel_dimensions: for which rows an entry with a set of variants counts: 0, `overall`, and each of its variants.
-- Grain and key: one row per (stamp, dimension).
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_dimensions AS
WITH stamped AS (
    SELECT
        stamp,
        unnest(map_entries(experiment_map)) AS entry
    FROM funnel_stamps
)

SELECT
    stamp,
    0 AS dimension
FROM funnel_stamps
UNION ALL
SELECT
    stamped.stamp,
    funnel_variants.dimension
FROM stamped
INNER JOIN funnel_variants
    ON funnel_variants.experiment_id = stamped.entry.key
    AND funnel_variants.variant_id = stamped.entry.value
