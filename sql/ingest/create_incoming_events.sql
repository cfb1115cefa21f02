-- Staging of one group of events on this connection; emptied by every commit.
-- Grain: one row per event as received, in order of position. assignments NULL: stamp at storage time.
-- Parameters: none.
CREATE TEMP TABLE IF NOT EXISTS incoming_events (
    position integer NOT NULL,
    event_id uuid NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    anonymous_user_id text COLLATE "C" NOT NULL,
    session_id text,
    install_id text,
    platform text,
    app_version text,
    event_name text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    sent_at timestamptz,
    properties jsonb NOT NULL,
    context jsonb NOT NULL,
    assignment_version integer,
    assignments jsonb,
    experiment_map jsonb,
    schema_version integer NOT NULL
) ON COMMIT DELETE ROWS
