-- Streams the rows of event_logs that are finished (their transaction ended) and not yet in the lake.
-- Grain: one row per event, but for what `stamps` tells of each stamp once. jsonb is sent as its text.
-- Parameters: the setting tidemark.exported_xid (xid8), because COPY takes none. Upper bound: this snapshot's xmin.
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
    schema_version,
    stamp
FROM event_logs
WHERE ingest_xid >= current_setting('tidemark.exported_xid')::xid8
    AND ingest_xid < pg_snapshot_xmin(pg_current_snapshot())
