-- Makes the empty funnel_activity, which `funnel_activity` fills a few days at a time.
-- Grain and key: one row per (tenant_id, day, funnel_name, step_name, dimension_key) with events.
-- Parameters: none.
CREATE TABLE funnel_activity (
    tenant_id VARCHAR,
    day DATE,
    funnel_name VARCHAR,
    step_name VARCHAR,
    dimension_key VARCHAR,
    experiment_id VARCHAR,
    variant_id VARCHAR,
    users_count BIGINT,
    events_count BIGINT
)
