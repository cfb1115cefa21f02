-- Counts the other tenants in which somebody has the same id: another person, who stays.
-- Grain: one row.
-- Parameters: tenant_id, user_id text.
SELECT count(DISTINCT tenant_id) AS tenants
FROM (
    SELECT tenant_id
    FROM event_logs
    WHERE anonymous_user_id = %(user_id)s
    UNION ALL
    SELECT tenant_id
    FROM assignments
    WHERE anonymous_user_id = %(user_id)s
) AS holders
WHERE tenant_id <> %(tenant_id)s
