-- Empties arrival_counts, to be counted anew.
-- Grain: every row.
-- Parameters: none.
DELETE FROM arrival_counts
