-- Deletes a window of funnel_rollups, whatever run published it: rows whose cause has vanished vanish too.
-- Grain: all tenants' rows of the days from first_day to last_day, both included.
-- Parameters: first_day date, last_day date.
DELETE FROM funnel_rollups
WHERE day BETWEEN %(first_day)s AND %(last_day)s
