-- How late the day's events were received, in seconds: this share of them was no later. Early ones count as 0.
-- Grain: one row, one number; 0 without events.
-- Parameters: paths text[] (the day), tenant_id text, day_start, day_end, oldest, newest timestamptz.
SELECT coalesce(quantile_cont(greatest(epoch_us(received_at) - epoch_us(occurred_at), 0), 0.95) / 1e6, 0) AS seconds
FROM read_parquet($paths)
WHERE tenant_id = $tenant_id
    AND occurred_at >= $day_start
    AND occurred_at < $day_end
    AND occurred_at BETWEEN $oldest AND $newest
