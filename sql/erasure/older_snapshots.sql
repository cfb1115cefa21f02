-- Names sessions that may still see what was deleted before a transaction: a rewrite of a table would keep it for them.
-- Grain: one row per session.
-- Parameters: xid text.
SELECT
    pid,
    application_name
FROM pg_stat_activity
WHERE datname = current_database()
    AND pid <> pg_backend_pid()
    AND backend_xmin IS NOT NULL
    AND age(backend_xmin) >= age(%(xid)s::xid8::xid)
ORDER BY pid
