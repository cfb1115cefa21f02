-- How far each spool of an API process is stored: written in the transaction that stores its deliveries, so that a
-- process killed between that and emptying its spool stores and books nothing twice.

CREATE TABLE spool_receipts (
    spool_id uuid PRIMARY KEY,
    seq bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
