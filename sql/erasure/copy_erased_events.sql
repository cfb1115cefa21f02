-- Streams the person's events of the lake into the transaction's table.
-- Grain: one row per event; columns in the order of sql/erasure/person_in_lake.
-- Parameters: none (rows follow through COPY).
COPY erased_events (
    event_id,
    event_name,
    occurred_at,
    received_at,
    properties,
    context,
    stored
) FROM STDIN
