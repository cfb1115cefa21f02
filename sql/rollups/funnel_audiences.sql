-- Adds to funnel_audiences the tenants of funnel_people that were not there before, each with every ordered funnel.
-- Grain and key: one row per (tenant_id, funnel_number). A number once given stays.
-- Parameters: none.
INSERT INTO funnel_audiences
SELECT
    (SELECT count(*) FROM funnel_audiences) + row_number() OVER () AS audience,
    tenants.tenant_id,
    funnels.funnel_number,
    funnels.funnel_name
FROM (
    SELECT DISTINCT tenant_id
    FROM funnel_people
) AS tenants
CROSS JOIN (
    SELECT DISTINCT
        funnel_number,
        funnel_name
    FROM funnel_steps
    WHERE ordered
) AS funnels
WHERE NOT EXISTS (
    SELECT 1
    FROM funnel_audiences
    WHERE funnel_audiences.tenant_id = tenants.tenant_id
)
