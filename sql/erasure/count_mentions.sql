-- Counts events of others that mention the person; sql/erasure/redact_events changes these.
-- Grain: one row.
-- Parameters: tenant_id, user_id, needle text (the id as it stands in JSON).
SELECT count(*) AS events
FROM event_logs
WHERE tenant_id = %(tenant_id)s
    AND anonymous_user_id <> %(user_id)s
    AND (
        session_id = %(user_id)s
        OR install_id = %(user_id)s
        OR strpos(properties::text, %(needle)s) > 0
        OR strpos(context::text, %(needle)s) > 0
    )
