-- Makes the empty funnel_audiences, which `funnel_audiences` fills a bucket of users at a time.
-- Grain and key: one row per (tenant_id, funnel_number), numbered from 1.
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_audiences (
    audience BIGINT,
    tenant_id VARCHAR,
    funnel_number INTEGER,
    funnel_name VARCHAR
)
