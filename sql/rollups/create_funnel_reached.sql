-- Makes the empty funnel_reached, which `funnel_reached` fills a bucket of users at a time.
-- Grain: one row per person, cohort day, dimension and step reached.
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_reached (
    audience BIGINT,
    day_number BIGINT,
    dimension BIGINT,
    step_number INTEGER,
    gap_us BIGINT
)
