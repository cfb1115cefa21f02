-- Takes a transaction id: what was deleted before is older.
-- Grain: one row.
-- Parameters: none.
SELECT pg_current_xact_id()::text AS xid
