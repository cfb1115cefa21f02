-- Makes the empty daily_activity, which `daily_activity` fills a few days at a time.
-- Grain and key: one row per (tenant_id, day) with events.
-- Parameters: none.
CREATE TABLE daily_activity (
    tenant_id VARCHAR,
    day DATE,
    users BIGINT,
    lag_percentiles DOUBLE[]
)
