-- Holds the tenants of the staged events until the end of the transaction: two writers that add days of one user at
-- once would each miss the other's.
-- Grain and key: tenant_id. Parameters: none. Rows are locked in key order, so that two writers cannot deadlock.
INSERT INTO campaign_writers (
    tenant_id,
    changes
)
SELECT DISTINCT
    tenant_id,
    1
FROM new_campaign_events
WHERE round = (SELECT max(round) FROM new_campaign_events)
ORDER BY tenant_id
ON CONFLICT (tenant_id) DO UPDATE SET
    changes = campaign_writers.changes + 1
