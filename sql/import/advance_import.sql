-- Moves a file's import forward by one batch; no row when another import of the same file moved it meanwhile.
-- Grain and key: (kind, file_sha256).
-- Parameters: kind text, file_sha256 text, expected, position, stored, duplicate, conflict, rejected,
-- rejects_bytes bigint (totals so far; expected is the position before this batch).
UPDATE imports
SET
    position = %(position)s,
    stored = %(stored)s,
    duplicate = %(duplicate)s,
    conflict = %(conflict)s,
    rejected = %(rejected)s,
    rejects_bytes = %(rejects_bytes)s
WHERE kind = %(kind)s
    AND file_sha256 = %(file_sha256)s
    AND position = %(expected)s
