-- A table of this connection with the columns that ingestion fills; emptied by every commit.
-- Grain: one row per event.
-- Parameters: none.
CREATE TEMP TABLE staged_events ON COMMIT DELETE ROWS AS
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
FROM event_logs
WITH NO DATA
