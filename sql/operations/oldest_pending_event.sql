-- Finds the oldest event that the lake does not have yet.
-- Grain: one row, or none when the lake has every event. received_at is the time of receipt, which an import takes from its file.
-- Parameters: exported bigint, the export's watermark: events of transactions below it are in the lake.
SELECT received_at
FROM event_logs
WHERE ingest_xid >= %(exported)s::text::xid8
ORDER BY ingest_xid
LIMIT 1
