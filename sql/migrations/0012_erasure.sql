-- Erasures of persons: when each was asked for, when its rows were settled in Postgres, and when it was finished.
-- Nothing in here names the person: which erasure is whose is known to its unfinished record on disk alone.

CREATE TABLE erasures (
    erasure_id uuid PRIMARY KEY,
    tenant_id text NOT NULL,
    requested_at timestamptz NOT NULL,
    settled_at timestamptz,
    removed jsonb NOT NULL DEFAULT '{}',
    finished_at timestamptz
);
