-- Generates one day of a history (DuckDB): sessions of eight events; most are of users who came lately, some of users of
-- the year before (also before the history began); each day brings as many new ones.
-- Grain and key: one row per number; every value follows from day_number, number and seed. Order: tenant, user, time.
-- Parameters: day date, day_number, first_number, events, joiners, seed bigint; late_share double, days_late bigint (a
-- share of the rows belongs to one of so many days before: half of them to the last, a quarter to the one before that).
WITH numbers AS (
    SELECT
        range AS number,
        range // 8 AS session,
        CAST(hash($seed, $day_number, range) >> 1 AS BIGINT) AS draw,
        CAST(hash($seed + 1, $day_number, range // 8) >> 1 AS BIGINT) AS session_draw
    FROM range($first_number, $first_number + $events)
),

draws AS (
    SELECT
        number,
        session,
        draw,
        CASE
            WHEN (draw % 1000003) / 1000003.0 < $late_share
                THEN least(1 + CAST(floor(-log2(1 - (draw // 1000003 % 1000000) / 1000000.0)) AS BIGINT), $days_late)
            ELSE 0
        END AS days_late,
        session_draw % 85000 * 1000000 + number % 8 * 37000000 + draw % 30000000 AS since_us,
        CAST(floor(power((session_draw // 7919 % 1000000) / 1000000.0, 4) * 366) AS BIGINT) AS age,
        session_draw // 104729 % $joiners AS joiner
    FROM numbers
),

people AS (
    SELECT
        *,
        ($day_number - age + 365) * $joiners + joiner AS person,
        CAST($day AS TIMESTAMPTZ) + to_microseconds(since_us - days_late * 86400000000) AS occurred_at
    FROM draws
)

SELECT
    CAST(CAST(md5($seed || ' event ' || $day_number || ' ' || number) AS UUID) AS VARCHAR) AS event_id,
    'default' AS tenant_id,
    CAST(CAST(md5('person ' || person) AS UUID) AS VARCHAR) AS anonymous_user_id,
    CAST(CAST(md5('session ' || $day_number || ' ' || session) AS UUID) AS VARCHAR) AS session_id,
    CAST(CAST(md5('install ' || person) AS UUID) AS VARCHAR) AS install_id,
    CASE WHEN person % 2 = 0 THEN 'ios' ELSE 'android' END AS platform,
    '1.4.' || person % 5 AS app_version,
    [
        'app_opened', 'workouts_default_loaded', 'workout_started', 'exercise_logged', 'exercise_logged',
        'session_submitted', 'achievement_unlocked', 'tab_opened', 'node_opened', 'log_entry_committed'
    ][1 + CASE WHEN draw % 10 < 6 THEN number % 8 ELSE draw // 10 % 10 END] AS event_name,
    occurred_at,
    CASE
        WHEN days_late = 0 THEN occurred_at + to_microseconds(draw % 9000000)
        ELSE CAST($day AS TIMESTAMPTZ) + to_microseconds(since_us)
    END AS received_at,
    CAST(NULL AS TIMESTAMPTZ) AS sent_at,
    '{"reps": ' || draw % 12 || ', "screen": "screen_' || draw % 97 || '", "position": ' || draw % 1000 || '}' AS properties,
    '{"locale": "en"}' AS context,
    '[{"variant_id": "' || chr(CAST(65 + person % 3 AS INTEGER)) || '", "experiment_id": "landing"}]' AS assignments,
    1 AS assignment_version,
    MAP {'landing': chr(CAST(65 + person % 3 AS INTEGER))} AS experiment_map,
    1 AS schema_version,
    person
FROM people
ORDER BY
    anonymous_user_id,
    occurred_at,
    event_id
