-- Streams one group of events into the connection's staging table.
-- Grain: one row per event as received; columns in the order in which pipeline.ingestion.event_store writes them.
-- Parameters: none (rows follow through COPY).
COPY incoming_events (
    position,
    source,
    event_id,
    event_name,
    occurred_at,
    properties,
    context,
    tenant_id,
    anonymous_user_id,
    session_id,
    install_id,
    platform,
    app_version,
    received_at,
    sent_at,
    assignment_version,
    assignments,
    experiment_map,
    schema_version,
    as_of,
    running,
    booked
) FROM STDIN
