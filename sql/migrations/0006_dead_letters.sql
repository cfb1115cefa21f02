-- Dead letters: events that were refused within an accepted request, kept as they were sent until somebody replays them.
-- Bytes, not text: what was refused may be what text cannot hold. No foreign key on tenant_id, as in event_logs.

CREATE TABLE dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id text NOT NULL,
    received_at timestamptz NOT NULL,
    protocol text NOT NULL,
    event_index integer NOT NULL,
    reason text NOT NULL,
    envelope bytea NOT NULL,
    event bytea NOT NULL,
    size integer NOT NULL GENERATED ALWAYS AS (octet_length(envelope) + octet_length(event)) STORED
);

-- Finding a tenant's oldest letters, and their bytes, never reads the letters themselves.
CREATE INDEX dead_letters_tenant ON dead_letters (tenant_id, id) INCLUDE (size);

-- How many letters of a tenant there are, so that the cap costs writers a few rows instead of a count. Slots as in
-- ingestion_ledger; one alone may be negative, since a letter need not be removed in the slot that added it.
CREATE TABLE dead_letter_totals (
    tenant_id text NOT NULL REFERENCES tenants,
    slot smallint NOT NULL,
    letters bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (tenant_id, slot)
) WITH (fillfactor = 50);

-- Where refused events are that are no letters any more, by UTC day of receipt. Together with ingestion_ledger:
-- rejected = letters there + replayed + dropped + not_kept. not_kept: an import wrote them into its rejects file, or
-- they were refused before there were dead letters.
CREATE TABLE dead_letter_ledger (
    tenant_id text NOT NULL REFERENCES tenants,
    day date NOT NULL,
    slot smallint NOT NULL,
    replayed bigint NOT NULL DEFAULT 0 CHECK (replayed >= 0),
    dropped bigint NOT NULL DEFAULT 0 CHECK (dropped >= 0),
    not_kept bigint NOT NULL DEFAULT 0 CHECK (not_kept >= 0),
    PRIMARY KEY (tenant_id, day, slot)
);

INSERT INTO dead_letter_ledger (tenant_id, day, slot, not_kept)
SELECT
    tenant_id,
    day,
    0,
    sum(rejected)
FROM ingestion_ledger
GROUP BY
    tenant_id,
    day
HAVING sum(rejected) > 0;
