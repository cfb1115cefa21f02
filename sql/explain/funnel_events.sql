-- Reads which events belong to the steps of a funnel, step by step (DuckDB).
-- Grain: one row per step; key step_name.
-- Parameters: funnel_name text.
SELECT
    step_name,
    list(event_name ORDER BY event_name) AS event_names
FROM funnel_steps
WHERE funnel_name = $funnel_name
GROUP BY
    step_name,
    step_number
ORDER BY step_number
