-- Begins the preparation of store_events for a connection that stores many groups; the statement itself follows.
-- Planning it costs as much as storing dozens of events.
-- Parameters: none.
PREPARE tidemark_store_events AS
