-- Makes this transaction one fixed, read-only view of the database.
-- Grain: the current transaction.
-- Parameters: none.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY
