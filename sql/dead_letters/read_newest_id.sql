-- Reads the id of the newest letter: a replay leaves those that come while it works to the next one.
-- Grain: one row.
-- Parameters: none.
SELECT coalesce(max(id), 0) AS id
FROM dead_letters
