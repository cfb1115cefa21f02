-- Fills the temporary table of the users whose assignments are wanted (Postgres).
-- Grain: one row per user.
-- Parameters: none.
COPY wanted_users (tenant_id, anonymous_user_id) FROM STDIN
