-- Names the database cluster: it changes when a dump is restored elsewhere, and transaction ids start anew.
-- Grain: one row.
-- Parameters: none. Some managed servers refuse this function.
SELECT system_identifier::bigint AS system_identifier
FROM pg_control_system()
