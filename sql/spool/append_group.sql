-- Writes one group of deliveries to a spool file (SQLite).
-- Grain and key: one row, seq.
-- Parameters: seq, deliveries (count), bytes of the payload, oldest (microseconds since 1970), checksum, payload.
INSERT INTO groups (
    seq,
    deliveries,
    bytes,
    oldest,
    checksum,
    payload
)
VALUES (?, ?, ?, ?, ?, ?)
