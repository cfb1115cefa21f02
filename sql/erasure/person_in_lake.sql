-- Selects the person's events of lake files (DuckDB), each once.
-- Grain and key: event_id; the columns of the temporary table erased_events.
-- Parameters: paths text[], tenant_id, user_id text.
SELECT DISTINCT ON (event_id)
    event_id,
    event_name,
    occurred_at,
    received_at,
    properties,
    context,
    false AS stored
FROM read_parquet($paths)
WHERE tenant_id = $tenant_id
    AND anonymous_user_id = $user_id
