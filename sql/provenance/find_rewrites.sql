-- Reads which of some files were rewritten on purpose, and why.
-- Grain: one file and reason; key (path, reason).
-- Parameters: paths text[].
SELECT
    path,
    reason,
    at
FROM lake_file_rewrites
WHERE path = ANY(%(paths)s::text[])
ORDER BY
    path,
    at
