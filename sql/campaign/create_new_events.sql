-- The campaign events that this transaction stored; emptied by every commit.
-- Grain and key: one row per event; round numbers the calls of one transaction.
-- Parameters: none.
CREATE TEMP TABLE IF NOT EXISTS new_campaign_events (
    round integer NOT NULL,
    tenant_id text NOT NULL,
    event_id uuid NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant text COLLATE "C" NOT NULL,
    day date NOT NULL,
    converted boolean NOT NULL,
    user_key uuid
) ON COMMIT DELETE ROWS
