-- Drops user_days once user_facts is made of it: what follows needs the memory.
-- Grain: every row.
-- Parameters: none.
DROP TABLE user_days
