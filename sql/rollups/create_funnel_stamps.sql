-- Makes the empty funnel_stamps, which `funnel_stamps` fills a bucket of users at a time.
-- Grain and key: one row per experiment_map, numbered from 1.
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_stamps (
    stamp BIGINT,
    experiment_map MAP (VARCHAR, VARCHAR)
)
