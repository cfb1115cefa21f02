-- Notes the campaign events among the erased ones as changes of the counts, in every scope they belonged to; what their
-- experiment and variant are is what sql/campaign/stage_new_events takes for them.
-- Grain: one row per experiment or '', variant or '', and UTC day. Parameters: tenant_id text.
INSERT INTO campaign_changes (
    tenant_id,
    experiment_id,
    variant,
    day,
    events,
    conversions
)
SELECT
    %(tenant_id)s,
    scopes.experiment_id,
    scopes.variant,
    gone.day,
    -count(*),
    -count(*) FILTER (WHERE gone.converted)
FROM (
    SELECT
        campaign_name(properties, 'experimentId') AS experiment_id,
        campaign_name(properties, 'variant') AS variant,
        (occurred_at AT TIME ZONE 'UTC')::date AS day,
        event_name = 'CONVERSION' AS converted
    FROM erased_events
    WHERE context ->> 'source' = 'campaign'
) AS gone
CROSS JOIN LATERAL (
    SELECT
        '' AS experiment_id,
        '' AS variant
    UNION
    SELECT
        gone.experiment_id,
        ''
    UNION
    SELECT
        '',
        gone.variant
    UNION
    SELECT
        gone.experiment_id,
        gone.variant
) AS scopes
GROUP BY
    scopes.experiment_id,
    scopes.variant,
    gone.day
