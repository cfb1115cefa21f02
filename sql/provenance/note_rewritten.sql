-- Notes that a file's rows were changed on purpose, and why; noted twice, the first time stays.
-- Grain: one file and reason; key (path, reason).
-- Parameters: path, reason text.
INSERT INTO lake_file_rewrites (
    path,
    reason
)
VALUES (
    %(path)s,
    %(reason)s
)
ON CONFLICT (path, reason) DO NOTHING
