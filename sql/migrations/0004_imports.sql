-- How far each file was imported: committed together with each batch, so that an interrupted import continues exactly.
-- A file is known by its bytes, not by its name.

CREATE TABLE imports (
    kind text NOT NULL CHECK (kind IN ('events', 'assignments')),
    file_sha256 text NOT NULL,
    position bigint NOT NULL DEFAULT 0,
    stored bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    conflict bigint NOT NULL DEFAULT 0,
    rejected bigint NOT NULL DEFAULT 0,
    rejects_bytes bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (kind, file_sha256),
    CHECK (position = stored + duplicate + rejected AND conflict <= duplicate)
);
