-- Empties assigned_counts, to be counted anew.
-- Grain: every row.
-- Parameters: none.
DELETE FROM assigned_counts
