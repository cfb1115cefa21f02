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
        tenant_id,
        CAST(occurred_at AS DATE) AS day,
        event_name,
        count(*) AS events
    FROM read_parquet($paths)
    GROUP BY ALL
),
days AS (
    SELECT
        tenant_id,
        CAST(occurred_at AS DATE) AS day,
        count(DISTINCT anonymous_user_id) AS users,
        quantile_cont(greatest(epoch_us(received_at) - epoch_us(occurred_at), 0), [0.5, 0.95]) AS lags
    FROM read_parquet($paths)
    GROUP BY ALL
)
SELECT day, tenant_id || ' ' || event_name, CAST(events AS DOUBLE) FROM names
UNION ALL SELECT day, tenant_id || ' users', users FROM days
UNION ALL SELECT day, tenant_id || ' p50', lags[1] FROM days
UNION ALL SELECT day, tenant_id || ' p95', lags[2] FROM days
"""

FIRST_SEEN = """
WITH people AS (
    SELECT
        tenant_id,
        min(occurred_at) AS first_seen,
        min(occurred_at) FILTER (WHERE event_name = 'session_submitted') AS submitted
    FROM read_parquet($paths)
    WHERE anonymous_user_id <> ''
    GROUP BY tenant_id, anonymous_user_id
),
counted AS (
    SELECT
        tenant_id,
        CAST(first_seen AS DATE) AS day,
        count(*) AS users,
        count(*) FILTER (WHERE submitted <= first_seen + INTERVAL 24 HOURS) AS converted
    FROM people
    GROUP BY ALL
)
SELECT day, tenant_id || ' new_users', users FROM counted
UNION ALL SELECT day, tenant_id || ' logging_rate_24h', converted / users FROM counted
"""

# Each window looks at two steps that follow each other: the chains that got there, and the events that come next.
# A moment is a microsecond times eight plus the step, so that steps at one time are in order.
NEXT = """(
    SELECT
        * EXCLUDE (place, next),
        CASE WHEN next // 8 - entered // 8 <= 86400000000 THEN next END AS {reached}
    FROM (
        SELECT
            *,
            min(CASE WHEN entered IS NULL THEN place END) OVER (
                PARTITION BY person ORDER BY place ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
            ) AS next
        FROM (
            SELECT *, {last} AS place FROM {chains}
            UNION ALL BY NAME
            SELECT person, moment AS place FROM events WHERE moment % 8 = {step}
        )
    )
    WHERE entered IS NOT NULL
)"""
FUNNEL = f"""
WITH events AS MATERIALIZED (
    SELECT
        hash(tenant_id, anonymous_user_id) AS person,
        tenant_id,
        epoch_us(occurred_at) * 8 + CASE event_name
            WHEN 'app_opened' THEN 1 WHEN 'tab_opened' THEN 1
            WHEN 'workouts_default_loaded' THEN 2 WHEN 'workout_started' THEN 2
            WHEN 'exercise_logged' THEN 3 WHEN 'session_submitted' THEN 4 WHEN 'achievement_unlocked' THEN 5
        END AS moment,
        CASE WHEN event_name IN ('app_opened', 'tab_opened') THEN experiment_map['landing'] END AS variant
    FROM read_parquet($paths)
    WHERE event_name IN ('app_opened', 'tab_opened', 'workouts_default_loaded', 'workout_started', 'exercise_logged',
        'session_submitted', 'achievement_unlocked')
        AND anonymous_user_id <> ''
),
two AS (
    SELECT person, tenant_id, variant, moment AS entered,
        CASE WHEN next // 8 - moment // 8 <= 86400000000 THEN next END AS two
    FROM (
        SELECT
            *,
            min(CASE WHEN moment % 8 = 2 THEN moment END) OVER onwards AS next,
            lead(moment) OVER onwards AS beside,
            lead(variant) OVER onwards AS beside_variant
        FROM events
        WHERE moment % 8 <= 2
        WINDOW onwards AS (PARTITION BY person ORDER BY moment ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)
    )
    WHERE moment % 8 = 1
        AND (beside % 8 = 1 AND beside_variant IS NOT DISTINCT FROM variant
            AND beside // 691200000000 = moment // 691200000000) IS NOT TRUE
),
three AS {NEXT.format(reached="three", last="two", chains="two", step=3)},
four AS {NEXT.format(reached="four", last="three", chains="three", step=4)},
five AS {NEXT.format(reached="five", last="four", chains="four", step=5)},
chains AS (
    SELECT
        person,
        tenant_id,
        entered // 691200000000 AS day_number,
        variant,
        entered,
        CASE WHEN five > 0 THEN 5 WHEN four > 0 THEN 4 WHEN three > 0 THEN 3 WHEN two > 0 THEN 2 ELSE 1 END AS depth,
        [two // 8 - entered // 8, three // 8 - two // 8, four // 8 - three // 8, five // 8 - four // 8] AS gaps
    FROM five
),
by_variant AS MATERIALIZED (
    SELECT
        person,
        any_value(tenant_id) AS tenant_id,
        day_number,
        variant,
        max((depth, entered)) AS furthest,
        arg_max(gaps, (depth, entered)) AS gaps
    FROM chains
    GROUP BY person, day_number, variant
),
reached AS (
    SELECT tenant_id, day_number, 'landing:' || variant AS dimension, furthest[1] AS depth, gaps
    FROM by_variant
    WHERE variant IS NOT NULL
    UNION ALL
    SELECT any_value(tenant_id), day_number, 'overall', max(furthest)[1], arg_max(gaps, furthest)
    FROM by_variant
    GROUP BY person, day_number
),
counted AS (
    SELECT
        tenant_id,
        DATE '1970-01-01' + CAST(day_number AS INTEGER) AS day,
        dimension,
        unnest([
            (1, count(*), NULL),
            (2, count(*) FILTER (WHERE depth >= 2), quantile_cont(gaps[1], 0.5)),
            (3, count(*) FILTER (WHERE depth >= 3), quantile_cont(gaps[2], 0.5)),
            (4, count(*) FILTER (WHERE depth >= 4), quantile_cont(gaps[3], 0.5)),
            (5, count(*) FILTER (WHERE depth >= 5), quantile_cont(gaps[4], 0.5))
        ]) AS step
    FROM reached
    GROUP BY tenant_id, day_number, dimension
),
named AS (
    SELECT day, concat_ws(' ', tenant_id, dimension, step[1]) AS name, step[2] AS users, step[3] / 1e6 AS median
    FROM counted
    WHERE step[2] > 0
)
SELECT day, name || ' users', CAST(users AS DOUBLE) FROM named
UNION ALL SELECT day, name || ' median', median FROM named WHERE median IS NOT NULL
"""


def daily(snapshot: LakeSnapshot) -> list[Count]:
    """Users, events by name, and lag."""
    return _rows(DAILY, snapshot)


def first_seen(snapshot: LakeSnapshot) -> list[Count]:
    """New users, and who of them converted."""
    return _rows(FIRST_SEEN, snapshot)


def funnel(snapshot: LakeSnapshot) -> list[Count]:
    """Users and medians of the steps, overall and per variant of the experiment that there is."""
    return _rows(FUNNEL, snapshot)


def _rows(sql: str, snapshot: LakeSnapshot) -> list[Any]:
    threads = Settings().duckdb_threads
    with duckdb.connect(":memory:", config={"threads": threads, "preserve_insertion_order": "false"}) as engine:
        engine.execute("SET TimeZone = 'UTC'")
        return engine.execute(sql, {"paths": snapshot.paths()}).fetchall()
