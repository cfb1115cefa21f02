-- Tells how far a file was imported.
-- Grain and key: (kind, file_sha256).
-- Parameters: kind text, file_sha256 text.
SELECT
    position,
    stored,
    duplicate,
    conflict,
    rejected,
    rejects_bytes,
    started_at,
    finished_at IS NOT NULL AS finished
FROM imports
WHERE kind = %(kind)s
    AND file_sha256 = %(file_sha256)s
