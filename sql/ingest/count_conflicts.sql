-- Counts staged events whose id is stored with another payload: the first one stays, the difference is reported.
-- Grain: one row per tenant and UTC day of receipt that has any.
-- Parameters: none.
SELECT
    incoming.tenant_id,
    (incoming.received_at AT TIME ZONE 'UTC')::date AS day,
    count(*) AS conflict
FROM incoming_events AS incoming
INNER JOIN event_logs
    ON event_logs.tenant_id = incoming.tenant_id
    AND event_logs.event_id = incoming.event_id
WHERE (
    event_logs.anonymous_user_id,
    event_logs.event_name,
    event_logs.occurred_at,
    event_logs.properties,
    event_logs.context
) IS DISTINCT FROM (
    incoming.anonymous_user_id,
    incoming.event_name,
    incoming.occurred_at,
    incoming.properties,
    incoming.context
)
GROUP BY 1, 2
