-- What is to be added to campaign_counts; emptied by every commit, and by empty_changes before each use.
-- Grain: any number of rows per (tenant_id, experiment_id, variant, day). gap: days since the users were active before
-- (400 for as many or more, and for never), NULL where none is concerned. first_users: those of them for never.
-- Parameters: none.
CREATE TEMP TABLE IF NOT EXISTS campaign_changes (
    tenant_id text NOT NULL,
    experiment_id text COLLATE "C" NOT NULL,
    variant text COLLATE "C" NOT NULL,
    day date NOT NULL,
    gap integer,
    events bigint NOT NULL DEFAULT 0,
    conversions bigint NOT NULL DEFAULT 0,
    users bigint NOT NULL DEFAULT 0,
    first_users bigint NOT NULL DEFAULT 0,
    converted_users bigint NOT NULL DEFAULT 0,
    first_converted_users bigint NOT NULL DEFAULT 0
) ON COMMIT DELETE ROWS
