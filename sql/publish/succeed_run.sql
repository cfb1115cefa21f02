-- Records that a run was published, in the transaction that publishes its rows.
-- Grain: one run; key run_id.
-- Parameters: run_id uuid, rows_written bigint, seconds double precision (of publishing, added to those of computing).
UPDATE rollup_runs
SET
    status = 'SUCCESS',
    rows_written = %(rows_written)s,
    seconds = seconds + %(seconds)s,
    finished_at = clock_timestamp()
WHERE run_id = %(run_id)s
RETURNING seconds
