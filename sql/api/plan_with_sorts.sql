-- Lets the planner sort in this transaction, which sessions of the API otherwise avoid: published rows of a window are few,
-- and read in the order of their key they would be those of all experiments.
-- Grain: none.
-- Parameters: none.
SET LOCAL enable_sort = on
