-- Makes the transaction just begun read one state of the database, and nothing else than read.
-- Grain: none.
-- Parameters: none.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY
