-- Makes the empty funnel_reached, which `funnel_reached` fills a bucket of users at a time.
-- Grain: one row per person, cohort day, dimension and step_number of funnel_chains; times as there.
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_reached (
    audience BIGINT,
    day_number BIGINT,
    dimension BIGINT,
    step_number INTEGER,
    second_gap_us BIGINT,
    third_gap_us BIGINT,
    fourth_gap_us BIGINT,
    fifth_gap_us BIGINT
)
