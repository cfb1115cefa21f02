-- Books where refused events went, on the UTC day they were received.
-- Grain and key: (tenant_id, day, slot); connections have slots, so that writers at once seldom wait for each other.
-- Parameters: tenant_id text, day date, replayed, dropped, not_kept bigint.
INSERT INTO dead_letter_ledger (
    tenant_id,
    day,
    slot,
    replayed,
    dropped,
    not_kept
)
VALUES (
    %(tenant_id)s,
    %(day)s,
    mod(pg_backend_pid(), 16),
    %(replayed)s,
    %(dropped)s,
    %(not_kept)s
)
ON CONFLICT (tenant_id, day, slot) DO UPDATE SET
    replayed = dead_letter_ledger.replayed + excluded.replayed,
    dropped = dead_letter_ledger.dropped + excluded.dropped,
    not_kept = dead_letter_ledger.not_kept + excluded.not_kept
