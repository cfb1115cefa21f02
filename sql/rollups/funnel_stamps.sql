-- Makes funnel_stamps: the sets of variants that entries of some days carry, numbered. An entry is step 1 of a funnel.
-- Grain and key: one row per experiment_map.
-- Parameters: paths text[] (of the days), oldest, newest timestamptz.
CREATE OR REPLACE TABLE funnel_stamps AS
SELECT
    row_number() OVER () AS stamp,
    experiment_map
FROM (
    SELECT DISTINCT coalesce(events.experiment_map, MAP {}) AS experiment_map
    FROM read_parquet($paths) AS events
    WHERE events.occurred_at BETWEEN $oldest AND $newest
        AND events.event_name IN (
            SELECT event_name
            FROM funnel_steps
            WHERE ordered
                AND step_number = 1
        )
)
