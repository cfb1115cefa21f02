-- Staging of one batch of assignments on this connection; emptied by every commit.
-- Grain: one row per assignment as given, in order of position.
-- Parameters: none.
CREATE TEMP TABLE IF NOT EXISTS incoming_assignments (
    position integer NOT NULL,
    tenant_id text NOT NULL,
    anonymous_user_id text COLLATE "C" NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant_id text COLLATE "C" NOT NULL,
    assignment_version integer NOT NULL,
    assigned_at timestamptz NOT NULL
) ON COMMIT DELETE ROWS
