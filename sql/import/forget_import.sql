-- Forgets how far a file was imported; what it stored stays.
-- Grain and key: (kind, file_sha256).
-- Parameters: kind text, file_sha256 text.
DELETE FROM imports
WHERE kind = %(kind)s
    AND file_sha256 = %(file_sha256)s
