-- Makes the empty user_facts, which `add_user_facts` fills a part of the users at a time.
-- Grain and key: one row per (tenant_id, anonymous_user_id); as in merged_facts.
-- Parameters: none.
CREATE TABLE user_facts (
    tenant_id VARCHAR,
    anonymous_user_id VARCHAR,
    active_days DATE [],
    first_moments TIMESTAMPTZ [],
    last_moments TIMESTAMPTZ [],
    session_moments TIMESTAMPTZ [],
    received_at TIMESTAMPTZ
)
