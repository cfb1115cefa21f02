-- Runs store_events as the connection has prepared it.
-- Grain and key: as store_events.
-- Parameters: none.
EXECUTE tidemark_store_events
