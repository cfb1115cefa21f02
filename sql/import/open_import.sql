-- Starts the record of a file's import, or leaves an earlier one as it is.
-- Grain and key: (kind, file_sha256).
-- Parameters: kind text, file_sha256 text, started_at timestamptz.
INSERT INTO imports (
    kind,
    file_sha256,
    started_at
)
VALUES (
    %(kind)s,
    %(file_sha256)s,
    %(started_at)s
)
ON CONFLICT (kind, file_sha256) DO NOTHING
