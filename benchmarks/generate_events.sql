-- Generates a stretch of the benchmark's events, in the order of their arrival: new users every moment, one event in
-- ten up to 18 hours late.
-- Grain and key: one event per number from first_number to last_number; every value follows from number and seed.
-- Parameters: first_number, last_number, events, users, seed, span bigint (microseconds), first_moment timestamptz.
WITH draws AS (
    SELECT
        number,
        (%(span)s::numeric * number / %(events)s)::bigint AS arrival,
        abs(hashint8extended(number, %(seed)s) %% greatest(%(users)s * number / %(events)s, 1)) AS person,
        abs(hashint8extended(number, %(seed)s + 2) %% 100) AS kind,
        abs(hashint8extended(number, %(seed)s + 3) %% 1000) AS lateness
    FROM generate_series(%(first_number)s::bigint, %(last_number)s::bigint) AS number
),

timed AS (
    SELECT
        draws.*,
        abs(hashint8extended(person, %(seed)s + 5) %% 3) AS landing,
        abs(hashint8extended(person, %(seed)s + 6) %% 2) AS density,
        %(first_moment)s::timestamptz + arrival * interval '1 microsecond' AS received_at,
        %(first_moment)s::timestamptz + greatest(
            arrival - CASE
                WHEN lateness < 900 THEN lateness * 10000
                ELSE (lateness - 899) * 660000000
            END,
            %(span)s::bigint * person / %(users)s
        ) * interval '1 microsecond' AS occurred_at
    FROM draws
)

INSERT INTO event_logs (
    event_id,
    tenant_id,
    anonymous_user_id,
    session_id,
    install_id,
    platform,
    app_version,
    event_name,
    occurred_at,
    received_at,
    sent_at,
    properties,
    context,
    assignment_version,
    assignments,
    experiment_map,
    schema_version
)
SELECT
    md5(number || ':' || %(seed)s)::uuid,
    'default',
    md5('person' || person)::uuid::text,
    md5('session' || number / 8)::uuid::text,
    md5('install' || person)::uuid::text,
    CASE person %% 2 WHEN 0 THEN 'ios' ELSE 'android' END,
    '1.4.' || person %% 5,
    (ARRAY[
        'app_opened', 'tab_opened', 'workouts_default_loaded', 'workout_started', 'exercise_logged',
        'session_submitted', 'achievement_unlocked', 'log_entry_started', 'log_entry_committed', 'node_opened'
    ])[1 + CASE WHEN kind < 25 THEN 0 WHEN kind < 45 THEN 1 ELSE 2 + kind %% 8 END],
    occurred_at,
    received_at,
    NULL,
    jsonb_build_object('screen', 'screen_' || kind, 'position', lateness, 'reps', kind %% 12),
    '{"locale": "en"}',
    1,
    jsonb_build_array(
        jsonb_build_object('experiment_id', 'landing', 'variant_id', chr(65 + landing::integer)),
        jsonb_build_object('experiment_id', 'density', 'variant_id', chr(65 + density::integer))
    ),
    jsonb_build_object('landing', chr(65 + landing::integer), 'density', chr(65 + density::integer)),
    1
FROM timed
