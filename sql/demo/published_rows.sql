-- Counts the published rows of each aggregate table in a range of days.
-- Grain: one row per table. Key: table_name.
-- Parameters: first, last (date, both included).
SELECT
    'daily_metric_rollups' AS table_name,
    count(*) AS published
FROM daily_metric_rollups
WHERE tenant_id = 'default' AND day BETWEEN %(first)s AND %(last)s
UNION ALL
SELECT
    'experiment_metric_rollups' AS table_name,
    count(*) AS published
FROM experiment_metric_rollups
WHERE tenant_id = 'default' AND day BETWEEN %(first)s AND %(last)s
UNION ALL
SELECT
    'funnel_rollups' AS table_name,
    count(*) AS published
FROM funnel_rollups
WHERE tenant_id = 'default' AND day BETWEEN %(first)s AND %(last)s
