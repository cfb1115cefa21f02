-- Adds up the events that arrival_counts holds, to be compared with the rows of the lake's version.
-- Grain: one row.
-- Parameters: none.
SELECT coalesce(sum(events), 0)::bigint AS events
FROM arrival_counts
