-- Makes one UTC day of campaign events of one tenant: about ten a user and day, some users far more often there than
-- others; four in five name one of six experiments, in which a user always has the same of two or three variants.
-- Grain: one row per event. Key: (tenant_id, event_id).
-- Parameters: tenant_id text, day date, events bigint (of the day), users bigint (there are in all).
INSERT INTO event_logs (
    event_id,
    tenant_id,
    anonymous_user_id,
    event_name,
    occurred_at,
    received_at,
    properties,
    context
)
SELECT
    md5(concat(%(day)s::text, '/', number))::uuid,
    %(tenant_id)s,
    'user-' || visitor,
    CASE WHEN dice %% 100 < 5 THEN 'CONVERSION' WHEN dice %% 100 < 30 THEN 'CLICK' ELSE 'PAGE_VIEW' END,
    %(day)s::date::timestamp AT TIME ZONE 'UTC' + make_interval(secs => dice %% 86400),
    %(day)s::date::timestamp AT TIME ZONE 'UTC' + make_interval(secs => dice %% 86400 + 1),
    CASE
        WHEN dice %% 5 = 0 THEN '{}'
        ELSE jsonb_build_object(
            'experimentId', md5('experiment ' || experiment)::uuid,
            'variant', chr(65 + ((hashint8(visitor * 7 + experiment) & 2147483647) %% (2 + experiment %% 2))::integer)
        )
    END,
    '{"source": "campaign"}'
FROM (
    SELECT
        numbers.number,
        hashint8(numbers.number + numbers.day_number * 100000007::bigint) & 2147483647 AS dice,
        visits.visitor,
        visits.visitor %% 6 AS experiment
    FROM (
        SELECT
            number,
            %(day)s::date - '2000-01-01'::date AS day_number
        FROM generate_series(1, %(events)s) AS series (number)
    ) AS numbers
    CROSS JOIN LATERAL (
        -- A day has a tenth as many visits as events. OFFSET 0: drawn once for each event, not once for each use.
        SELECT
            floor(
                %(users)s * power(
                    (
                        hashint8(
                            numbers.number %% greatest(%(events)s / 10, 1) + numbers.day_number * 100000007::bigint
                        ) & 2147483647
                    ) / 2147483648::double precision,
                    1.5
                )
            )::bigint AS visitor
        OFFSET 0
    ) AS visits
) AS made
