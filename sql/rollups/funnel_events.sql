-- Makes funnel_events from the funnel_journeys of those who enter: moments as there; stamp is null but for entries.
-- Grain: one row per event and funnel.
-- Parameters: none.
CREATE OR REPLACE TABLE funnel_events AS
SELECT
    funnel_people.person,
    unnest(funnel_journeys.moments) AS moment,
    funnel_stamps.stamp
FROM funnel_journeys
INNER JOIN funnel_people
    ON funnel_people.tenant_id = funnel_journeys.tenant_id
    AND funnel_people.anonymous_user_id = funnel_journeys.anonymous_user_id
    AND funnel_people.funnel_number = funnel_journeys.funnel_number
LEFT JOIN funnel_stamps
    ON funnel_stamps.experiment_map = funnel_journeys.experiment_map
