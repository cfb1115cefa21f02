-- Moves the staged events into the table that ingestion writes, those alone whose ids are new.
-- Grain and key: one row per event, by (tenant_id, event_id).
-- Parameters: none.
INSERT INTO event_logs (
    event_id,
    tenant_id,
    anonymous_user_id,
    session_id,
    install_id,
    platform,
    app_version,
    event_name,
    occurred_at,
    received_at,
    sent_at,
    properties,
    context,
    assignment_version,
    assignments,
    experiment_map,
    schema_version
)
SELECT
    event_id,
    tenant_id,
    anonymous_user_id,
    session_id,
    install_id,
    platform,
    app_version,
    event_name,
    occurred_at,
    received_at,
    sent_at,
    properties,
    context,
    assignment_version,
    assignments,
    experiment_map,
    schema_version
FROM staged_events
ORDER BY
    tenant_id,
    event_id
ON CONFLICT (tenant_id, event_id) DO NOTHING
