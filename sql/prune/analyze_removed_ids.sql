-- Tells the planner how many ids are noted; statements that were prepared before are planned anew.
-- Grain: the table removed_event_ids.
-- Parameters: none.
ANALYZE removed_event_ids
