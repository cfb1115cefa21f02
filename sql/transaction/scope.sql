-- Scopes a session to some tenants: as tidemark_app it sees and stores their rows alone, until it is scoped anew.
-- Grain: one row, without meaning. Outside a transaction, so that no rollback takes it back.
-- Parameters: tenants text, ids with commas between them; empty for none.
SELECT set_config('tidemark.tenants', %(tenants)s, false)
