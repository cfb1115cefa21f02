-- Writes all pages to disk, and lets go of the write-ahead log before them.
-- Grain: the server.
-- Parameters: none. Needs the server's administrator (Postgres 15 and newer: pg_checkpoint).
CHECKPOINT
