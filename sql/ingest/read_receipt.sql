-- How far a spool is stored already.
-- Grain: at most one row. Key: spool_id.
-- Parameters: spool_id uuid.
SELECT
    seq
FROM spool_receipts
WHERE spool_id = %(spool_id)s
