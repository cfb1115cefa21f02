-- Fails a run that is not over yet.
-- Grain: one run; key run_id.
-- Parameters: run_id uuid, error_text text.
UPDATE rollup_runs
SET
    status = 'FAILED',
    error_text = %(error_text)s,
    finished_at = clock_timestamp()
WHERE run_id = %(run_id)s
    AND status = 'RUNNING'
