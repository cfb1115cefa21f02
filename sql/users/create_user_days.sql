-- Makes the empty user_days, which `add_user_days` fills a few days at a time.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day) with valid events.
-- Parameters: none.
CREATE TABLE user_days (
    tenant_id VARCHAR,
    anonymous_user_id VARCHAR,
    day DATE
)
