-- Adds to funnel_stamps the sets of variants that entries in funnel_entered carry and no entry before them did.
-- Grain and key: one row per experiment_map. A number once given stays: people in other buckets were counted by it.
-- Parameters: none.
INSERT INTO funnel_stamps
SELECT
    (SELECT count(*) FROM funnel_stamps) + row_number() OVER () AS stamp,
    carried.experiment_map
FROM (
    SELECT DISTINCT experiment_map
    FROM funnel_entered
) AS carried
WHERE NOT EXISTS (
    SELECT 1
    FROM funnel_stamps
    WHERE funnel_stamps.experiment_map IS NOT DISTINCT FROM carried.experiment_map
)
