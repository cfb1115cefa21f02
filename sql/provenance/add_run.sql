-- Records what a run was computed from and what came out.
-- Grain: one run; key run_id.
-- Parameters: run_id uuid, file_ids bigint[], steps, inputs, parameters, engines jsonb, code_commit text,
--     newest_received_at timestamptz, result_rows bigint, result_sha256 text.
INSERT INTO run_provenance (
    run_id,
    file_ids,
    steps,
    inputs,
    parameters,
    engines,
    code_commit,
    newest_received_at,
    result_rows,
    result_sha256
)
VALUES (
    %(run_id)s,
    %(file_ids)s,
    %(steps)s,
    %(inputs)s,
    %(parameters)s,
    %(engines)s,
    %(code_commit)s,
    %(newest_received_at)s,
    %(result_rows)s,
    %(result_sha256)s
)
