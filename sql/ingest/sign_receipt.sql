-- Notes how far a spool is stored, in the transaction that stores it.
-- Grain and key: spool_id.
-- Parameters: spool_id uuid, seq bigint (the last group stored).
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
