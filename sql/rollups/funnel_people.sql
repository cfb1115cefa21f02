-- Makes funnel_people: who in funnel_journeys enters which ordered funnel, numbered.
-- Grain and key: one row per (tenant_id, anonymous_user_id, funnel_number).
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_people AS
SELECT
    row_number() OVER () AS person,
    entering.tenant_id,
    entering.anonymous_user_id,
    entering.funnel_number,
    funnel_audiences.audience,
    funnel_audiences.window_us
FROM (
    SELECT DISTINCT
        tenant_id,
        anonymous_user_id,
        funnel_number
    FROM funnel_journeys
    WHERE experiment_map IS NOT NULL
) AS entering
INNER JOIN funnel_audiences
    ON funnel_audiences.tenant_id = entering.tenant_id
    AND funnel_audiences.funnel_number = entering.funnel_number
