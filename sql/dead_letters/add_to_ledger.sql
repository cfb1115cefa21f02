-- Books where refused events went, on the UTC day they were received.
-- Grain and key: (tenant_id, day, slot).
-- Parameters: tenant_id text, day date, slot smallint, replayed, dropped, not_kept bigint.
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
    %(slot)s,
    %(replayed)s,
    %(dropped)s,
    %(not_kept)s
)
ON CONFLICT (tenant_id, day, slot) DO UPDATE SET
    replayed = dead_letter_ledger.replayed + excluded.replayed,
    dropped = dead_letter_ledger.dropped + excluded.dropped,
    not_kept = dead_letter_ledger.not_kept + excluded.not_kept
