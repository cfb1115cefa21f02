-- Tells what stamps stand for: the assignments and experiment_map of one event that bears each.
-- Grain: one row per event asked for.
-- Parameters: tenant_ids text[], event_ids uuid[] (of the same length: the events' keys).
SELECT
    event_logs.stamp,
    event_logs.assignments::text AS assignments,
    event_logs.experiment_map
FROM unnest(%(tenant_ids)s::text[], %(event_ids)s::uuid[]) AS wanted (tenant_id, event_id)
INNER JOIN event_logs
    ON event_logs.tenant_id = wanted.tenant_id
    AND event_logs.event_id = wanted.event_id
