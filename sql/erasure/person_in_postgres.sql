-- Counts what the tables that know users hold of a person, at one moment.
-- Grain and key: one row per table.
-- Parameters: tenant_id, user_id text.
SELECT
    'event_logs' AS name,
    count(*) AS rows
FROM event_logs
WHERE tenant_id = %(tenant_id)s
    AND anonymous_user_id = %(user_id)s
UNION ALL
SELECT
    'assignments',
    count(*)
FROM assignments
WHERE tenant_id = %(tenant_id)s
    AND anonymous_user_id = %(user_id)s
UNION ALL
SELECT
    'assignment_changes',
    count(*)
FROM assignment_changes
WHERE tenant_id = %(tenant_id)s
    AND anonymous_user_id = %(user_id)s
UNION ALL
SELECT
    'retail_site_users',
    count(*)
FROM retail_site_users
WHERE tenant_id = %(tenant_id)s
    AND user_key = sha256(convert_to(%(user_id)s, 'UTF8'))
UNION ALL
SELECT
    'campaign_user_days',
    count(*)
FROM campaign_user_days
WHERE tenant_id = %(tenant_id)s
    AND user_key = encode(substr(sha256(convert_to(%(user_id)s, 'UTF8')), 1, 16), 'hex')::uuid
ORDER BY name
