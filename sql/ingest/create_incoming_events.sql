-- Staging of one group of events on this connection; emptied by every commit.
-- Grain: one row per event as received, in order of position. source: events of one request, alike but for themselves.
-- assignments NULL: stamp with those made by as_of, in the running experiments (NULL: in those that run now).
-- booked: the ledger knows of them already, but for those that turn out to be missing.
-- Parameters: none.
CREATE TEMP TABLE IF NOT EXISTS incoming_events (
    position integer NOT NULL,
    source integer NOT NULL,
    event_id uuid NOT NULL,
    event_name text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    properties jsonb NOT NULL,
    context jsonb NOT NULL,
    tenant_id text NOT NULL,
    anonymous_user_id text COLLATE "C" NOT NULL,
    session_id text,
    install_id text,
    platform text,
    app_version text,
    received_at timestamptz NOT NULL,
    sent_at timestamptz,
    assignment_version integer,
    assignments jsonb,
    experiment_map jsonb,
    schema_version integer NOT NULL,
    as_of timestamptz NOT NULL,
    running text [],
    booked boolean NOT NULL
) ON COMMIT DELETE ROWS
