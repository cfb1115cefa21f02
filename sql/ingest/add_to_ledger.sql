-- Adds one group's counts to the ledger, in the transaction that stores its events.
-- Grain and key: (tenant_id, day, slot). Returns the transaction, whose fate can be asked should its connection break.
-- Parameters: tenant_id text, day date, slot smallint, received, stored, duplicate, conflict, rejected bigint.
INSERT INTO ingestion_ledger (
    tenant_id,
    day,
    slot,
    received,
    stored,
    duplicate,
    conflict,
    rejected
)
VALUES (
    %(tenant_id)s,
    %(day)s,
    %(slot)s,
    %(received)s,
    %(stored)s,
    %(duplicate)s,
    %(conflict)s,
    %(rejected)s
)
ON CONFLICT (tenant_id, day, slot) DO UPDATE SET
    received = ingestion_ledger.received + excluded.received,
    stored = ingestion_ledger.stored + excluded.stored,
    duplicate = ingestion_ledger.duplicate + excluded.duplicate,
    conflict = ingestion_ledger.conflict + excluded.conflict,
    rejected = ingestion_ledger.rejected + excluded.rejected
RETURNING pg_current_xact_id()::text
