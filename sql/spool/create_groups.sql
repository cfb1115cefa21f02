-- Creates the table of a spool file (SQLite): what was written together is one row.
-- Grain and key: seq, counted up from 1 without gaps. Columns before payload are small: they are read without it.
-- Parameters: none.
CREATE TABLE IF NOT EXISTS groups (
    seq INTEGER PRIMARY KEY,
    deliveries INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    oldest INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    payload BLOB NOT NULL
)
