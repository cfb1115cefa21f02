-- Notes which version of which table of the lake arrival_counts holds.
-- Grain: one row.
-- Parameters: table_id text, lake_version bigint.
INSERT INTO arrival_progress (
    table_id,
    lake_version
)
VALUES (
    %(table_id)s,
    %(lake_version)s
)
ON CONFLICT (only_row) DO UPDATE SET
    table_id = excluded.table_id,
    lake_version = excluded.lake_version,
    counted_at = now()
