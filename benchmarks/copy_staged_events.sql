-- Streams events, complete as ingestion stores them, into a table of this connection.
-- Grain and key: one row per event, all of them new.
-- Parameters: none (rows follow through COPY).
COPY staged_events (
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
