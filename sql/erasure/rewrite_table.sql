-- Writes a table anew without what was deleted from it, which only marked its bytes as free.
-- Grain: the table.
-- Parameters: table (identifier).
VACUUM (FULL, ANALYZE) {table}
