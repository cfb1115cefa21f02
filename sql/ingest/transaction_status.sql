-- What became of a transaction whose connection broke: committed, aborted, in progress, or NULL when it is too old.
-- Grain: one row.
-- Parameters: xid text.
SELECT
    pg_xact_status(%(xid)s::xid8)
