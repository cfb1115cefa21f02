-- The revision of keys and tenants: it rises with every change to one.
-- Grain: one row.
-- Parameters: none.
SELECT revision
FROM access_revision
