-- Makes event_logs append-only again after restamp.sql.
-- Grain: the table event_logs.
-- Parameters: none.
ALTER TABLE event_logs ENABLE TRIGGER event_logs_append_only
