-- Counts rows of any table that have a text anywhere, as it stands in JSON.
-- Grain: one row.
-- Parameters: table (identifier, from sql/erasure/tables), needle text.
SELECT count(*) AS rows
FROM {table} AS searched
WHERE strpos(to_jsonb(searched)::text, %(needle)s) > 0
