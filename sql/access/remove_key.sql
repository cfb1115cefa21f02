-- Removes a key: the demo's own, which it makes anew.
-- Grain and key: key_id.
-- Parameters: key_id text.
DELETE FROM api_keys
WHERE key_id = %(key_id)s
