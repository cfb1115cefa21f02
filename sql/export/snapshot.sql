-- Describes this transaction's view: rows below hi are finished; no row of this server can be at or above next.
-- Grain: one row. newest is the highest ingest_xid present, NULL in an empty table; database is the database's oid, snapshot the view's name.
-- Parameters: none.
SELECT
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS hi,
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,
    (SELECT ingest_xid::text::bigint FROM event_logs ORDER BY ingest_xid DESC LIMIT 1) AS newest,
    (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database,
    pg_export_snapshot() AS snapshot
