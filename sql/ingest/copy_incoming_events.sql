-- Streams one group of events into the connection's staging table.
-- Grain: one row per event as received; columns in the order of pipeline.event_store.EventRow after position.
-- Parameters: none (rows follow through COPY).
COPY incoming_events (
    position,
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
) FROM STDIN
