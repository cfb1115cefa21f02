-- Says which transactions have begun until now: those below `next`; those below `finished` have all ended.
-- Grain: one row.
-- Parameters: none.
SELECT
    pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS finished
