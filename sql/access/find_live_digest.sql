-- Finds a key that would be accepted, by its digest.
-- Grain: at most one row per key.
-- Parameters: digest bytea (SHA-256 of the key).
SELECT key_id
FROM live_keys()
WHERE digest = %(digest)s
