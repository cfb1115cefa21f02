-- Deletes days of retention_rollups, whatever run published it: rows whose cause has vanished vanish too.
-- Grain: all tenants' rows of these days.
-- Parameters: days date[].
DELETE FROM retention_rollups
WHERE day = ANY(%(days)s::date[])
