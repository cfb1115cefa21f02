-- Empties campaign_changes of what an earlier call in the same transaction left there.
-- Grain: as campaign_changes.
-- Parameters: none.
DELETE FROM campaign_changes
