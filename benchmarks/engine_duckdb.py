"""The work of `benchmarks.engines` in DuckDB, written by hand: one pass over the files where there can be one."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

from pipeline.lake.table import LakeSnapshot
from pipeline.settings import Settings

Count = tuple[date, str, float]

DAILY = """
WITH names AS (
    SELECT
        CAST(occurred_at AS DATE) AS day,
        event_name,
        count(*) AS events
    FROM read_parquet($paths)
    GROUP BY ALL
),
days AS (
    SELECT
        CAST(occurred_at AS DATE) AS day,
        count(DISTINCT anonymous_user_id) AS users,
        quantile_cont(greatest(epoch_us(received_at) - epoch_us(occurred_at), 0), [0.5, 0.95]) AS lags
    FROM read_parquet($paths)
    GROUP BY ALL
)
SELECT day, event_name, CAST(events AS DOUBLE) FROM names
UNION ALL SELECT day, 'users', users FROM days
UNION ALL SELECT day, 'p50', lags[1] FROM days
UNION ALL SELECT day, 'p95', lags[2] FROM days
"""

FIRST_SEEN = """
WITH people AS (
    SELECT
        min(occurred_at) AS first_seen,
        list(occurred_at) FILTER (WHERE event_name = 'session_submitted') AS submitted
    FROM read_parquet($paths)
    GROUP BY anonymous_user_id
),
counted AS (
    SELECT
        CAST(first_seen AS DATE) AS day,
        count(*) AS users,
        count(*) FILTER (WHERE list_min(submitted) <= first_seen + INTERVAL 24 HOURS) AS converted
    FROM people
    GROUP BY ALL
)
SELECT day, 'new', users FROM counted UNION ALL SELECT day, 'converted', converted FROM counted
"""

FUNNEL = """
WITH events AS (
    SELECT
        hash(anonymous_user_id) AS person,
        CASE event_name
            WHEN 'app_opened' THEN 1 WHEN 'tab_opened' THEN 1
            WHEN 'workouts_default_loaded' THEN 2 WHEN 'workout_started' THEN 2
            WHEN 'exercise_logged' THEN 3 WHEN 'session_submitted' THEN 4 WHEN 'achievement_unlocked' THEN 5
        END AS step,
        epoch_us(occurred_at) AS at_us
    FROM read_parquet($paths)
    WHERE event_name IN ('app_opened', 'tab_opened', 'workouts_default_loaded', 'workout_started', 'exercise_logged',
        'session_submitted', 'achievement_unlocked')
),
one AS (
    SELECT
        *,
        min(CASE WHEN step = 5 THEN at_us END) OVER onwards AS five
    FROM events
    WINDOW onwards AS (PARTITION BY person ORDER BY at_us, step ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
two AS (
    SELECT
        *,
        min(CASE WHEN step = 4 THEN struct_pack(a4 := at_us, a5 := five) END) OVER onwards AS four
    FROM one
    WINDOW onwards AS (PARTITION BY person ORDER BY at_us, step ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
three AS (
    SELECT
        *,
        min(CASE WHEN step = 3 THEN struct_pack(a3 := at_us, four := four) END) OVER onwards AS three
    FROM two
    WINDOW onwards AS (PARTITION BY person ORDER BY at_us, step ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
chains AS (
    SELECT
        *,
        min(CASE WHEN step = 2 THEN struct_pack(a2 := at_us, three := three) END) OVER onwards AS two
    FROM three
    WINDOW onwards AS (PARTITION BY person ORDER BY at_us, step ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
),
deepest AS (
    SELECT
        person,
        at_us // 86400000000 AS day_number,
        max(CASE
            WHEN two.three.four.a5 - at_us <= 86400000000 THEN 5
            WHEN two.three.four.a4 - at_us <= 86400000000 THEN 4
            WHEN two.three.a3 - at_us <= 86400000000 THEN 3
            WHEN two.a2 - at_us <= 86400000000 THEN 2
            ELSE 1
        END) AS depth
    FROM chains
    WHERE step = 1
    GROUP BY ALL
)
SELECT
    DATE '1970-01-01' + CAST(day_number AS INTEGER),
    step,
    count(*)
FROM deepest
CROSS JOIN range(1, 6) AS steps (step)
WHERE step <= depth
GROUP BY ALL
"""


def daily(snapshot: LakeSnapshot) -> list[Count]:
    """Users, events by name, and lag."""
    return _rows(DAILY, snapshot)


def first_seen(snapshot: LakeSnapshot) -> list[Count]:
    """New users, and who of them converted."""
    return _rows(FIRST_SEEN, snapshot)


def funnel(snapshot: LakeSnapshot) -> list[Count]:
    """Who got how far."""
    return _rows(FUNNEL, snapshot)


def _rows(sql: str, snapshot: LakeSnapshot) -> list[Any]:
    threads = Settings().duckdb_threads
    with duckdb.connect(":memory:", config={"threads": threads, "preserve_insertion_order": "false"}) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        return engine.execute(sql, {"paths": snapshot.paths()}).fetchall()
