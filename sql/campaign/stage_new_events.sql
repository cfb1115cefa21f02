-- Stages the campaign events this transaction stored and has not counted yet.
-- Grain and key: one row per stored event. experiment_id and variant are '' where the event names none: no text, an
-- empty one, or one of more than 255 characters. user_key is NULL without a user.
-- Parameters: none.
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
    CASE WHEN stored.anonymous_user_id <> '' THEN campaign_user_key(stored.anonymous_user_id) END
FROM event_logs AS stored
WHERE stored.ingest_xid = pg_current_xact_id()
    AND stored.context ->> 'source' = 'campaign'
    -- Not by NOT EXISTS: an empty temporary table has no statistics, and the plan would scan it for every event.
    AND (stored.tenant_id, stored.event_id) NOT IN (
        SELECT
            staged.tenant_id,
            staged.event_id
        FROM new_campaign_events AS staged
    )
