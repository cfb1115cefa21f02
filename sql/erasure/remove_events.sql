-- Removes the person's events from Postgres and adds them to erased_events, marked as stored there.
-- Grain and key: event_id.
-- Parameters: tenant_id, user_id text.
WITH removed AS (
    DELETE FROM event_logs
    WHERE tenant_id = %(tenant_id)s
        AND anonymous_user_id = %(user_id)s
    RETURNING
        event_id,
        event_name,
        occurred_at,
        received_at,
        properties,
        context
)

INSERT INTO erased_events (
    event_id,
    event_name,
    occurred_at,
    received_at,
    properties,
    context,
    stored
)
SELECT
    event_id,
    event_name,
    occurred_at,
    received_at,
    properties,
    context,
    true
FROM removed
ON CONFLICT (event_id) DO UPDATE SET stored = true
