-- Reads the server's clock, by which runs record when they began.
-- Grain: one row.
-- Parameters: none.
SELECT clock_timestamp()
