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
    CASE
        WHEN jsonb_typeof(stored.properties -> 'experimentId') = 'string'
            AND char_length(stored.properties ->> 'experimentId') <= 255
            THEN stored.properties ->> 'experimentId'
        ELSE ''
    END,
    CASE
        WHEN jsonb_typeof(stored.properties -> 'variant') = 'string'
            AND char_length(stored.properties ->> 'variant') <= 255
            THEN stored.properties ->> 'variant'
        ELSE ''
    END,
    (stored.occurred_at AT TIME ZONE 'UTC')::date,
    stored.event_name = 'CONVERSION',
    CASE
        WHEN stored.anonymous_user_id <> ''
            THEN encode(substr(sha256(convert_to(stored.anonymous_user_id, 'UTF8')), 1, 16), 'hex')::uuid
    END
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
