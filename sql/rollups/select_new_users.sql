-- Selects the new users, to ask Postgres for their assignments.
-- Grain and key: one row per (tenant_id, anonymous_user_id).
-- Parameters: none.
SELECT
    tenant_id,
    anonymous_user_id
FROM new_users
