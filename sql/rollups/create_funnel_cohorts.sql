-- Makes the empty funnel_cohorts, which `funnel_cohorts` fills a few days at a time.
-- Grain and key: one row per (tenant_id, day, funnel_name, dimension_key, step_number) that somebody reached.
-- Parameters: none.
CREATE TABLE funnel_cohorts (
    tenant_id VARCHAR,
    day DATE,
    funnel_name VARCHAR,
    dimension_key VARCHAR,
    experiment_id VARCHAR,
    variant_id VARCHAR,
    step_number INTEGER,
    users_count BIGINT,
    median_seconds DOUBLE
)
