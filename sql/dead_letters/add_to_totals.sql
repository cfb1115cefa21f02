-- Adds letters, or removes them with negative numbers, in the transaction that does so.
-- Grain and key: (tenant_id, slot).
-- Parameters: tenant_id text, slot smallint, letters, bytes bigint.
INSERT INTO dead_letter_totals (
    tenant_id,
    slot,
    letters,
    bytes
)
VALUES (
    %(tenant_id)s,
    %(slot)s,
    %(letters)s,
    %(bytes)s
)
ON CONFLICT (tenant_id, slot) DO UPDATE SET
    letters = dead_letter_totals.letters + excluded.letters,
    bytes = dead_letter_totals.bytes + excluded.bytes
