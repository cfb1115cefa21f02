-- Makes the empty event_volume, which `event_volume` fills a few days at a time.
-- Grain and key: one row per (tenant_id, day, event_name) with events.
-- Parameters: none.
CREATE TABLE event_volume (
    tenant_id VARCHAR,
    day DATE,
    event_name VARCHAR,
    events BIGINT
)
