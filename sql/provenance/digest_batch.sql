-- Digests some rows of an input (DuckDB): how many, and a sum over them that does not depend on their order. The hash is
-- DuckDB's own, twenty times cheaper than MD5; another version of DuckDB may have another.
-- Grain: one row. `batch` is the rows, as Arrow.
-- Parameters: none.
SELECT
    count(*) AS row_count,
    coalesce(sum(hash(batch)), 0) AS row_sum
FROM batch
