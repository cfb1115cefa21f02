-- Removes counts of scopes and days that no event is left of.
-- Grain: one row per experiment, variant and day.
-- Parameters: tenant_id text.
DELETE FROM campaign_counts
WHERE tenant_id = %(tenant_id)s
    AND events = 0
