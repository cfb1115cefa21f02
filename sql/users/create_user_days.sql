-- Makes the empty user_days, which `add_user_days` fills a few days at a time.
-- Grain and key: one row per (tenant_id, anonymous_user_id, day) with valid events; part is one of the parts of users.
-- Parameters: none.
CREATE TABLE user_days (
    part INTEGER,
    tenant_id VARCHAR,
    anonymous_user_id VARCHAR,
    day DATE,
    first_moment TIMESTAMPTZ,
    last_moment TIMESTAMPTZ,
    session_moments TIMESTAMPTZ [],
    received_at TIMESTAMPTZ
)
