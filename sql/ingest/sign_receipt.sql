-- Notes how far a spool is stored, in the transaction that stores it; nothing where another was faster.
-- Grain and key: spool_id. A process killed while it commits holds the row until that has ended, either way.
-- Parameters: spool_id uuid, before bigint (the last group stored until now), seq bigint (the last one stored now).
INSERT INTO spool_receipts (
    spool_id,
    seq
)
VALUES (
    %(spool_id)s,
    %(seq)s
)
ON CONFLICT (spool_id) DO UPDATE SET
    seq = excluded.seq,
    stored_at = now()
WHERE spool_receipts.seq = %(before)s
RETURNING seq
