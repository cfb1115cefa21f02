-- Prints events as COPY reads them: what ingestion stored, to be written again by other means.
-- Grain and key: one row per event; the id is the first column.
-- Parameters: none.
COPY (
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
    LIMIT 50000
) TO STDOUT
