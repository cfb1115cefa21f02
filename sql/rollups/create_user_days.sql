-- Makes the empty user_days, which `user_days` or `user_days_of_state` fills.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day).
-- Parameters: none.
CREATE TABLE user_days (
    tenant_id VARCHAR,
    anonymous_user_id VARCHAR,
    day DATE
)
