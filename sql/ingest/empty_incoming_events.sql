-- Empties the connection's staging table of what an earlier group of the same transaction left there.
-- Grain: one row per event as received.
-- Parameters: none.
DELETE FROM incoming_events
