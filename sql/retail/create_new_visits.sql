-- The visits that this transaction stored; emptied by every commit.
-- Grain and key: one row per event; round numbers the calls of one transaction.
-- Parameters: none.
CREATE TEMP TABLE IF NOT EXISTS new_visits (
    round integer NOT NULL,
    tenant_id text NOT NULL,
    event_id uuid NOT NULL,
    site_id text COLLATE "C" NOT NULL,
    day date NOT NULL,
    path text COLLATE "C",
    path_key bytea,
    user_key bytea
) ON COMMIT DELETE ROWS
