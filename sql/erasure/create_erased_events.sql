-- The person's events while their transaction lasts, from the lake and from Postgres, each once.
-- Grain and key: event_id.
-- Parameters: none.
CREATE TEMP TABLE erased_events (
    event_id uuid PRIMARY KEY,
    event_name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    properties jsonb NOT NULL,
    context jsonb NOT NULL,
    stored boolean NOT NULL
) ON COMMIT DROP
