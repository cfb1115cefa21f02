-- Counts the events of lake files, with sums over the last 48 bits of their ids that no order changes (DuckDB).
-- Grain and key: (tenant_id, day) by UTC date of occurred_at.
-- Parameters: paths text[].
SELECT
    tenant_id,
    CAST(occurred_at AS DATE) AS day,
    count(*) AS events,
    sum(CAST('0x' || right(event_id, 12) AS BIGINT)) AS id_sum,
    bit_xor(CAST('0x' || right(event_id, 12) AS BIGINT)) AS id_xor
FROM read_parquet($paths)
GROUP BY
    tenant_id,
    CAST(occurred_at AS DATE)
