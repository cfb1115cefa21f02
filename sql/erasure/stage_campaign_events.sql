-- Stages what there is of the person after its events were removed: events that arrived in between and are counted.
-- Grain and key: one row per stored event, as sql/campaign/stage_new_events has them.
-- Parameters: tenant_id, user_id text.
INSERT INTO new_campaign_events (
    round,
    tenant_id,
    event_id,
    experiment_id,
    variant,
    day,
    converted,
    user_key
)
SELECT
    (SELECT coalesce(max(round), 0) + 1 FROM new_campaign_events),
    stored.tenant_id,
    stored.event_id,
    campaign_name(stored.properties, 'experimentId'),
    campaign_name(stored.properties, 'variant'),
    (stored.occurred_at AT TIME ZONE 'UTC')::date,
    stored.event_name = 'CONVERSION',
    campaign_user_key(stored.anonymous_user_id)
FROM event_logs AS stored
WHERE stored.tenant_id = %(tenant_id)s
    AND stored.anonymous_user_id = %(user_id)s
    AND stored.context ->> 'source' = 'campaign'
