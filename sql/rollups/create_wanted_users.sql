-- Makes the temporary table of the users whose assignments are wanted (Postgres).
-- Grain: one row per user.
-- Parameters: none.
CREATE TEMPORARY TABLE wanted_users (
    tenant_id text NOT NULL,
    anonymous_user_id text COLLATE "C" NOT NULL
) ON COMMIT DROP
