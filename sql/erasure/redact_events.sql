-- Replaces the person's id where events of others mention it; the events stay.
-- Grain: one row per event.
-- Parameters: tenant_id, user_id, needle (the id as it stands in JSON), replacement (for the needle) text.
UPDATE event_logs
SET
    session_id = nullif(session_id, %(user_id)s),
    install_id = nullif(install_id, %(user_id)s),
    properties = replace(properties::text, %(needle)s, %(replacement)s)::jsonb,
    context = replace(context::text, %(needle)s, %(replacement)s)::jsonb
WHERE tenant_id = %(tenant_id)s
    AND anonymous_user_id <> %(user_id)s
    AND (
        session_id = %(user_id)s
        OR install_id = %(user_id)s
        OR strpos(properties::text, %(needle)s) > 0
        OR strpos(context::text, %(needle)s) > 0
    )
