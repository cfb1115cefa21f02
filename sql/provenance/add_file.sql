-- Adds a file that runs read; one that another run has added meanwhile stays as it is.
-- Grain: one file; key path.
-- Parameters: path text, day date, rows, size bigint, sha256 text, newest_received_at timestamptz.
INSERT INTO lake_files (
    path,
    day,
    rows,
    size,
    sha256,
    newest_received_at
)
VALUES (
    %(path)s,
    %(day)s,
    %(rows)s,
    %(size)s,
    %(sha256)s,
    %(newest_received_at)s
)
ON CONFLICT (path) DO NOTHING
