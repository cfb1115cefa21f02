-- Adds letters, or removes them with negative numbers, in the transaction that does so.
-- Grain and key: (tenant_id, slot); connections have slots, so that writers at once seldom wait for each other.
-- Parameters: tenant_id text, letters, bytes bigint.
INSERT INTO dead_letter_totals (
    tenant_id,
    slot,
    letters,
    bytes
)
VALUES (
    %(tenant_id)s,
    mod(pg_backend_pid(), 16),
    %(letters)s,
    %(bytes)s
)
ON CONFLICT (tenant_id, slot) DO UPDATE SET
    letters = dead_letter_totals.letters + excluded.letters,
    bytes = dead_letter_totals.bytes + excluded.bytes
