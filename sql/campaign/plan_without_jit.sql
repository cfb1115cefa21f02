-- Keeps this transaction's statements from being compiled: their cost is overestimated, since temporary tables have no
-- statistics, and compiling them takes a second where running them takes milliseconds.
-- Grain: none.
-- Parameters: none.
SET LOCAL jit = off
