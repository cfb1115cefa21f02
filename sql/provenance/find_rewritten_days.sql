-- Reads on which days the lake's files were rewritten on purpose since a moment, and why.
-- Grain: one file and reason; key (path, reason).
-- Parameters: days date[], since timestamptz.
SELECT
    path,
    reason,
    at
FROM lake_file_rewrites
WHERE at >= %(since)s
    AND substring(path FROM 'day=(\d{4}-\d{2}-\d{2})/')::date = ANY(%(days)s::date[])
ORDER BY
    path,
    at
