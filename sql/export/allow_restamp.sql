-- Lets this transaction restamp rows; restamp.sql and forbid_restamp.sql follow in the same transaction.
-- Grain: the table event_logs, which stays locked against writers until the transaction ends.
-- Parameters: none. Needs the table's owner.
ALTER TABLE event_logs DISABLE TRIGGER event_logs_append_only
