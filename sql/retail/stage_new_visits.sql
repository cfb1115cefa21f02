-- Stages the visits this transaction stored and has not counted yet; a visit names its site and its path.
-- Grain and key: one row per stored event; path is there for page views alone, user_key for visits with a user.
-- Parameters: none.
INSERT INTO new_visits (
    round,
    tenant_id,
    event_id,
    site_id,
    day,
    path,
    path_key,
    user_key
)
SELECT
    (SELECT coalesce(max(round), 0) + 1 FROM new_visits),
    stored.tenant_id,
    stored.event_id,
    stored.properties ->> 'site_id',
    (stored.occurred_at AT TIME ZONE 'UTC')::date,
    CASE WHEN stored.event_name = 'page_view' THEN stored.properties ->> 'path' END,
    CASE WHEN stored.event_name = 'page_view' THEN sha256(convert_to(stored.properties ->> 'path', 'UTF8')) END,
    CASE WHEN stored.anonymous_user_id <> '' THEN sha256(convert_to(stored.anonymous_user_id, 'UTF8')) END
FROM event_logs AS stored
WHERE stored.ingest_xid = pg_current_xact_id()
    AND stored.context ->> 'source' = 'retail'
    AND jsonb_typeof(stored.properties -> 'site_id') = 'string'
    AND char_length(stored.properties ->> 'site_id') BETWEEN 1 AND 255
    AND jsonb_typeof(stored.properties -> 'path') = 'string'
    AND char_length(stored.properties ->> 'path') BETWEEN 1 AND 8192
    -- Not by NOT EXISTS: an empty temporary table has no statistics, and the plan would scan it for every visit.
    AND (stored.tenant_id, stored.event_id) NOT IN (
        SELECT
            new_visits.tenant_id,
            new_visits.event_id
        FROM new_visits
    )
