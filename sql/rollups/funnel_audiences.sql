-- Adds to funnel_audiences the tenants and funnels that are entered in funnel_journeys and were not before.
-- Grain and key: one row per (tenant_id, funnel_number). A number once given stays.
-- Parameters: none.
INSERT INTO funnel_audiences
SELECT
    (SELECT count(*) FROM funnel_audiences) + row_number() OVER () AS audience,
    entered.tenant_id,
    entered.funnel_number,
    entered.funnel_name,
    entered.window_us
FROM (
    SELECT DISTINCT
        funnel_journeys.tenant_id,
        funnel_steps.funnel_number,
        funnel_steps.funnel_name,
        funnel_steps.window_us
    FROM funnel_journeys
    INNER JOIN funnel_steps
        ON funnel_steps.funnel_number = funnel_journeys.funnel_number
    WHERE funnel_journeys.experiment_map IS NOT NULL
        AND funnel_steps.step_number = 1
) AS entered
WHERE NOT EXISTS (
    SELECT 1
    FROM funnel_audiences
    WHERE funnel_audiences.tenant_id = entered.tenant_id
        AND funnel_audiences.funnel_number = entered.funnel_number
)
