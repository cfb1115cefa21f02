-- What became of a transaction whose connection broke: committed, aborted, in progress, or NULL when it is too old.
-- Grain: one row.
-- Parameters: xid text; tenant_id, event_id text: an event that it stored, NULL when it stored none. A server that
-- crashed gives the ids of transactions it lost to others: then only the event tells.
SELECT
    CASE
        WHEN %(xid)s::xid8 >= pg_current_xact_id() THEN 'aborted'
        WHEN NOT pg_visible_in_snapshot(%(xid)s::xid8, pg_current_snapshot()) THEN 'in progress'
        WHEN %(event_id)s::uuid IS NOT NULL
            AND NOT EXISTS (
                SELECT
                FROM event_logs
                WHERE tenant_id = %(tenant_id)s
                    AND event_id = %(event_id)s::uuid
                    AND ingest_xid = %(xid)s::xid8
            )
            THEN 'aborted'
        ELSE pg_xact_status(%(xid)s::xid8)
    END
