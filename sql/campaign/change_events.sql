-- Notes the staged events and conversions as changes, in every scope they belong to.
-- Grain: one row per tenant, experiment or '', variant or '', and UTC day.
-- Parameters: none.
INSERT INTO campaign_changes (
    tenant_id,
    experiment_id,
    variant,
    day,
    events,
    conversions
)
SELECT
    cells.tenant_id,
    scopes.experiment_id,
    scopes.variant,
    cells.day,
    sum(cells.events),
    sum(cells.conversions)
FROM (
    SELECT
        tenant_id,
        experiment_id,
        variant,
        day,
        count(*) AS events,
        count(*) FILTER (WHERE converted) AS conversions
    FROM new_campaign_events
    WHERE round = (SELECT max(round) FROM new_campaign_events)
    GROUP BY
        tenant_id,
        experiment_id,
        variant,
        day
) AS cells
CROSS JOIN LATERAL (
    SELECT
        '' AS experiment_id,
        '' AS variant
    UNION
    SELECT
        cells.experiment_id,
        ''
    UNION
    SELECT
        '',
        cells.variant
    UNION
    SELECT
        cells.experiment_id,
        cells.variant
) AS scopes
GROUP BY
    cells.tenant_id,
    scopes.experiment_id,
    scopes.variant,
    cells.day
