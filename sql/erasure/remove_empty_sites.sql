-- Removes totals of sites and days that nobody is left to have visited.
-- Grain: one row per site and day.
-- Parameters: tenant_id text.
DELETE FROM retail_site_totals
WHERE tenant_id = %(tenant_id)s
    AND views = 0
    AND users = 0
