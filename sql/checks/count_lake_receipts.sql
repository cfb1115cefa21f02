-- Counts the events of lake files by the day they were received (DuckDB).
-- Grain and key: (tenant_id, day) by UTC date of received_at.
-- Parameters: paths text[].
SELECT
    tenant_id,
    CAST(received_at AS DATE) AS day,
    count(*) AS events
FROM read_parquet($paths)
GROUP BY
    tenant_id,
    CAST(received_at AS DATE)
