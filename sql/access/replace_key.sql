-- Names a key's successor and ends it after a time of grace; affects no row when it is not valid, or has one already.
-- Grain and key: key_id.
-- Parameters: key_id, successor text, grace interval.
UPDATE api_keys SET
    successor = %(successor)s,
    expires_at = least(expires_at, now() + %(grace)s)
WHERE key_id = %(key_id)s
    AND successor IS NULL
    AND revoked_at IS NULL
    AND (expires_at IS NULL OR expires_at > now())
