-- What every run was computed from, so that it can be repeated: files, statements, inputs from Postgres, versions.
-- Nothing in here holds an event or names a user.

-- The text of every statement a run executed, once per text.
CREATE TABLE statement_texts (
    sha256 text PRIMARY KEY,
    text text NOT NULL
);

-- Every file a run read. Files never change, so each is hashed once; `path` is relative to the lake's root.
CREATE TABLE lake_files (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text COLLATE "C" NOT NULL UNIQUE,
    day date,
    rows bigint NOT NULL,
    size bigint NOT NULL,
    sha256 text NOT NULL,
    newest_received_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- Files whose rows were changed on purpose (an erasure), and why: runs that read them can no longer be repeated.
CREATE TABLE lake_file_rewrites (
    path text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (path, reason)
);

-- One row for each run that was computed. `steps` are its statements in order, with their parameters; files in them
-- are positions in `file_ids`. `inputs` are the tables that came from elsewhere: rows, digest and, when small, contents.
CREATE TABLE run_provenance (
    run_id uuid PRIMARY KEY REFERENCES rollup_runs ON DELETE CASCADE,
    file_ids bigint[] NOT NULL,
    steps jsonb NOT NULL,
    inputs jsonb NOT NULL,
    parameters jsonb NOT NULL,
    engines jsonb NOT NULL,
    code_commit text,
    newest_received_at timestamptz,
    result_rows bigint NOT NULL,
    result_sha256 text NOT NULL
);
