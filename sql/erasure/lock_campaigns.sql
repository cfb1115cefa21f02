-- Holds a tenant's campaign counts until the end of the transaction, as whoever counts its events does.
-- Grain and key: tenant_id; no row, and nothing to hold, where no campaign event was ever counted.
-- Parameters: tenant_id text.
UPDATE campaign_writers
SET changes = changes + 1
WHERE tenant_id = %(tenant_id)s
