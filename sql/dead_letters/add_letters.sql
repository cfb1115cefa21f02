-- Adds refused events to the dead letters. Not by COPY, which row-level security does not allow.
-- Grain: one row per refused event.
-- Parameters: for each column of pipeline.ingestion.dead_letters.DeadLetter its values as an array, all in one order.
INSERT INTO dead_letters (
    tenant_id,
    received_at,
    protocol,
    event_index,
    reason,
    envelope,
    event
)
SELECT
    given.tenant_id,
    given.received_at,
    given.protocol,
    given.event_index,
    given.reason,
    given.envelope,
    given.event
FROM unnest(
    %(tenant_id)s::text [],
    %(received_at)s::timestamptz [],
    %(protocol)s::text [],
    %(event_index)s::integer [],
    %(reason)s::text [],
    %(envelope)s::bytea [],
    %(event)s::bytea []
) AS given (
    tenant_id,
    received_at,
    protocol,
    event_index,
    reason,
    envelope,
    event
)
