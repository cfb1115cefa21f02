-- Counts what is stored, who sent it, and how much of it arrived late; and what the ledger refused or recognised.
-- Grain: one row, for the tenant `default`.
-- Parameters: cut (timestamptz: lateness counts among events received before it, whose time of receipt is true to life).
SELECT
    count(*) AS stored,
    count(DISTINCT anonymous_user_id) AS users,
    count(*) FILTER (
        WHERE received_at < %(cut)s AND received_at - occurred_at > interval '1 hour'
    ) AS later_than_an_hour,
    count(*) FILTER (
        WHERE received_at < %(cut)s AND received_at - occurred_at > interval '1 day'
    ) AS later_than_a_day,
    count(*) FILTER (WHERE received_at >= %(cut)s) AS sent_live,
    (
        SELECT coalesce(sum(duplicate), 0)::bigint
        FROM ingestion_ledger
        WHERE tenant_id = 'default'
    ) AS duplicates_avoided,
    (
        SELECT coalesce(sum(rejected), 0)::bigint
        FROM ingestion_ledger
        WHERE tenant_id = 'default'
    ) AS rejected
FROM event_logs
WHERE tenant_id = 'default'
