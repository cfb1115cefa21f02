-- Finds the files of the users state that hold rows of the person (DuckDB).
-- Grain and key: one row per file that has any.
-- Parameters: paths text[], tenant_id, user_id text.
SELECT
    filename,
    count(*) AS own,
    0 AS mentions
FROM read_parquet($paths, filename = true)
WHERE tenant_id = $tenant_id
    AND anonymous_user_id = $user_id
GROUP BY filename
ORDER BY filename
