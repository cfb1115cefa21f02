-- Adds to one account of the ledger what the statement that stores events does not know: refusals and conflicts.
-- Grain and key: (tenant_id, day, slot); the slot is that of store_events, where duplicates, and so conflicts, are booked.
-- Parameters: tenant_id text, day date, conflict, rejected bigint.
INSERT INTO ingestion_ledger (
    tenant_id,
    day,
    slot,
    received,
    rejected
)
VALUES (
    %(tenant_id)s,
    %(day)s,
    mod(pg_backend_pid(), 16),
    %(rejected)s,
    %(rejected)s
)
ON CONFLICT (tenant_id, day, slot) DO UPDATE SET
    received = ingestion_ledger.received + excluded.received,
    conflict = ingestion_ledger.conflict + %(conflict)s,
    rejected = ingestion_ledger.rejected + excluded.rejected
