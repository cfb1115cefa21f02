-- Marks a file's import as complete.
-- Grain and key: (kind, file_sha256).
-- Parameters: kind text, file_sha256 text, finished_at timestamptz.
UPDATE imports
SET finished_at = %(finished_at)s
WHERE kind = %(kind)s
    AND file_sha256 = %(file_sha256)s
