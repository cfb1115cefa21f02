-- Ends the segment of the write-ahead log that is being written; the rest of it is filled with zeros.
-- Grain: one row.
-- Parameters: none.
SELECT
    pg_logical_emit_message(false, 'tidemark', ''),
    pg_switch_wal()
