-- The append-only log of events, and the ledger that accounts for every event ever received.
-- ingest_xid is the writing transaction: an export takes [last, pg_snapshot_xmin) and so neither skips nor doubles.
-- No foreign key on tenant_id: it comes from the key alone, and a check per row would double the cost of storing one.

CREATE TABLE event_logs (
    event_id uuid NOT NULL,
    tenant_id text NOT NULL DEFAULT 'default',
    anonymous_user_id text COLLATE "C" NOT NULL,
    session_id text,
    install_id text,
    platform text,
    app_version text,
    event_name text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    properties jsonb NOT NULL DEFAULT '{}',
    context jsonb NOT NULL DEFAULT '{}',
    assignment_version integer,
    assignments jsonb NOT NULL DEFAULT '[]',
    experiment_map jsonb NOT NULL DEFAULT '{}',
    schema_version integer NOT NULL DEFAULT 1,
    ingest_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- Same stamp, same assignments and experiment_map: printing those is half the cost of an export, and few differ.
    stamp bigint NOT NULL GENERATED ALWAYS AS (
        jsonb_hash_extended(assignments, 0) # jsonb_hash_extended(experiment_map, 1)
    ) STORED,
    PRIMARY KEY (tenant_id, event_id)
);

CREATE INDEX event_logs_ingest_xid ON event_logs (ingest_xid);

-- Counting the rows of a few days must not read the whole table; a BRIN index costs writers next to nothing.
CREATE INDEX event_logs_occurred_at ON event_logs
USING brin (occurred_at timestamptz_minmax_multi_ops) WITH (pages_per_range = 32);

CREATE FUNCTION refuse_event_update() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'event_logs is append-only: an update would never reach the lake'
    USING HINT = 'Send a new event, or delete the row and import it again.';
END
$$;

CREATE TRIGGER event_logs_append_only BEFORE UPDATE ON event_logs
FOR EACH ROW EXECUTE FUNCTION refuse_event_update();

-- Double entry: received = stored + duplicate + rejected, per tenant and UTC day of receipt; conflict is the part of
-- duplicate whose payload differs from the stored one. Rows are spread over slots, so that writers of several
-- processes do not queue for one row lock; sum over them.
CREATE TABLE ingestion_ledger (
    tenant_id text NOT NULL REFERENCES tenants,
    day date NOT NULL,
    slot smallint NOT NULL,
    received bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    conflict bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, day, slot),
    CHECK (received = stored + duplicate + rejected AND conflict <= duplicate)
);
