-- Tells new_events.sql where the lake's content ends, for this transaction.
-- Grain: the current transaction.
-- Parameters: $1 text, the export's watermark.
SELECT set_config('tidemark.exported_xid', $1, true)
