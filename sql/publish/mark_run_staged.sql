-- Records what a run read and how long it computed.
-- Grain: one run; key run_id.
-- Parameters: run_id uuid, lake_version bigint, ignored_count bigint, seconds double precision.
UPDATE rollup_runs
SET
    lake_version = %(lake_version)s,
    ignored_count = %(ignored_count)s,
    seconds = %(seconds)s
WHERE run_id = %(run_id)s
