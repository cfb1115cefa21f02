-- Makes funnel_dimensions: for which rows an entry with a set of variants counts: `overall`, and each of its variants.
-- Should ids with colons give two variants one dimension_key, the one whose experiment_id sorts first stays.
-- Grain and key: one row per (stamp, dimension); dimension 0 is `overall`. Parameters: none.
CREATE OR REPLACE TABLE funnel_dimensions AS
WITH stamped AS (
    SELECT
        stamp,
        unnest(map_entries(experiment_map)) AS entry
    FROM funnel_stamps
),

variants AS (
    SELECT DISTINCT
        entry.key AS experiment_id,
        entry.value AS variant_id,
        entry.key || ':' || entry.value AS dimension_key
    FROM stamped
    WHERE entry.value IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY entry.key || ':' || entry.value ORDER BY entry.key) = 1
),

numbered AS (
    SELECT
        row_number() OVER (ORDER BY dimension_key) AS dimension,
        dimension_key,
        experiment_id,
        variant_id
    FROM variants
)

SELECT
    stamp,
    0 AS dimension,
    'overall' AS dimension_key,
    CAST(NULL AS VARCHAR) AS experiment_id,
    CAST(NULL AS VARCHAR) AS variant_id
FROM funnel_stamps
UNION ALL
SELECT
    stamped.stamp,
    numbered.dimension,
    numbered.dimension_key,
    numbered.experiment_id,
    numbered.variant_id
FROM stamped
INNER JOIN numbered
    ON numbered.experiment_id = stamped.entry.key
    AND numbered.variant_id = stamped.entry.value
