-- Makes the empty funnel_variants, which `funnel_variants` fills a bucket of users at a time.
-- Grain and key: one row per (experiment_id, variant_id), numbered from 1.
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_variants (
    dimension BIGINT,
    experiment_id VARCHAR,
    variant_id VARCHAR
)
