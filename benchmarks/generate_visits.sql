-- Makes visits of one shop: a tenth each of its history's days, a long tail of paths, users that come back.
-- Grain: one row per event. Key: (tenant_id, event_id).
-- Parameters: first bigint (number of the first visit), visits, paths, users, days bigint.
INSERT INTO event_logs (
    event_id,
    anonymous_user_id,
    event_name,
    occurred_at,
    received_at,
    properties,
    context
)
SELECT
    md5('visit ' || number)::uuid,
    'user-' || (hashint8(number) & 2147483647) %% %(users)s,
    CASE WHEN number %% 10 = 0 THEN 'add_to_cart' ELSE 'page_view' END,
    now() - make_interval(secs => ((hashint8(number + 7) & 2147483647) %% (%(days)s * 86400))::double precision),
    now(),
    jsonb_build_object(
        'site_id', 'shop',
        'path', '/products/' || floor(%(paths)s * power((hashint8(number + 3) & 2147483647) / 2147483648.0, 3))
    ),
    '{"source": "retail"}'
FROM generate_series(%(first)s, %(first)s + %(visits)s - 1) AS numbers (number)
