-- Gives rows that carry another server's transaction id (after a restore) one of this server.
-- Grain: rows of event_logs whose ingest_xid this server has not reached yet.
-- Parameters: none.
UPDATE event_logs
SET ingest_xid = pg_current_xact_id()
WHERE ingest_xid >= pg_snapshot_xmax(pg_current_snapshot())
