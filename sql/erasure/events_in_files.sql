-- Finds the files of events that hold rows of the person, or rows of others that mention it (DuckDB).
-- Grain and key: one row per file that has any.
-- Parameters: paths text[], tenant_id, user_id, needle text (the id as it stands in JSON).
SELECT
    filename,
    count(*) FILTER (WHERE anonymous_user_id = $user_id) AS own,
    count(*) FILTER (WHERE anonymous_user_id <> $user_id) AS mentions
FROM read_parquet($paths, filename = true)
WHERE tenant_id = $tenant_id
    AND (
        anonymous_user_id = $user_id
        OR session_id = $user_id
        OR install_id = $user_id
        OR contains(properties, $needle)
        OR contains(context, $needle)
    )
GROUP BY filename
ORDER BY filename
