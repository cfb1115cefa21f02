-- Reads the rows of lake files in the order in which a file of the lake has them (DuckDB).
-- Grain: one row per event, ordered by tenant, user and time; columns as in pipeline.lake.schema.FILE_SCHEMA.
-- Parameters: paths text[].
SELECT
    event_id,
    tenant_id,
    anonymous_user_id,
    session_id,
    install_id,
    platform,
    app_version,
    event_name,
    occurred_at,
    received_at,
    sent_at,
    properties,
    context,
    assignments,
    assignment_version,
    experiment_map,
    schema_version
FROM read_parquet($paths, hive_partitioning = false)
ORDER BY
    tenant_id,
    anonymous_user_id,
    occurred_at,
    event_id
