-- Lets one transaction at a time take slices of a layer, until it ends: two that wait for each other would be a deadlock.
-- Grain: one row, without meaning.
-- Parameters: lock integer (of pipeline.database.AdvisoryLock), tenant_id, layer text.
SELECT pg_advisory_xact_lock(%(lock)s::integer, hashtext(concat(%(tenant_id)s::text, '/', %(layer)s::text)))
