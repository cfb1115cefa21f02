-- Removes paths that nobody is left to have viewed.
-- Grain: one row per path and day.
-- Parameters: tenant_id text.
DELETE FROM retail_path_views
WHERE tenant_id = %(tenant_id)s
    AND views = 0
