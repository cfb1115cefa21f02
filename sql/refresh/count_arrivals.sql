-- Counts the events of some files of the lake by the day they happened and the day they were received (DuckDB).
-- Grain and key: one row per (tenant_id, occurred_day, received_day), both UTC days.
-- Parameters: paths text[].
SELECT
    tenant_id,
    day AS occurred_day,
    CAST(received_at AS DATE) AS received_day,
    count(*) AS events
FROM read_parquet($paths, hive_partitioning = true)
GROUP BY
    tenant_id,
    day,
    CAST(received_at AS DATE)
