-- Has this session reach rows by index alone: a batch is thousands of rows, and the table may hold a thousand batches.
-- Grain: the session.
-- Parameters: none.
SELECT
    set_config('enable_seqscan', 'off', false),
    set_config('enable_hashjoin', 'off', false),
    set_config('enable_mergejoin', 'off', false)
