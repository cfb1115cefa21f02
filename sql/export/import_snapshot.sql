-- Makes this transaction see exactly what the export's transaction sees.
-- Grain: the current transaction, REPEATABLE READ.
-- Parameters: {snapshot}, a literal, because SET takes no parameters: the name that export_snapshot returned.
SET TRANSACTION SNAPSHOT {snapshot}
