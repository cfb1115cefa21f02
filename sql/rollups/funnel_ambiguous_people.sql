-- Counts the numbers in funnel_people that several users have.
-- Grain: one row.
-- Parameters: none.
SELECT count(*)
FROM funnel_people
WHERE users > 1
