-- Streams refused events into the dead letters.
-- Grain: one row per refused event; columns in the order of pipeline.ingestion.dead_letters.DeadLetter.
-- Parameters: none (rows follow through COPY).
COPY dead_letters (
    tenant_id,
    received_at,
    protocol,
    event_index,
    reason,
    envelope,
    event
) FROM STDIN
