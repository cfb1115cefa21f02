"""The work of `benchmarks.engines` in chdb; a program of its own, for an interpreter that has chdb and nothing of ours.

Reads {"work": ..., "files": [...]} from stdin and prints what it measured as JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import chdb

STEP = """multiIf(
    event_name IN ('app_opened', 'tab_opened'), 1, event_name IN ('workouts_default_loaded', 'workout_started'), 2,
    event_name = 'exercise_logged', 3, event_name = 'session_submitted', 4, event_name = 'achievement_unlocked', 5, 0
)"""
EVENTS = "file('{files}', 'Parquet')"
DAILY = """
WITH days AS (
    SELECT
        tenant_id,
        toDate(occurred_at, 'UTC') AS day,
        uniqExact(anonymous_user_id) AS users,
        quantilesExactInclusive(0.5, 0.95)(
            greatest(toUnixTimestamp64Micro(received_at) - toUnixTimestamp64Micro(occurred_at), 0)
        ) AS lags,
        sumMap(map(event_name, toUInt64(1))) AS names
    FROM {events}
    GROUP BY tenant_id, day
)
SELECT day, tenant_id || ' ' || counted.1 AS name, counted.2 AS value
FROM days
ARRAY JOIN arrayConcat(
    [('users', toFloat64(users)), ('p50', lags[1]), ('p95', lags[2])],
    arrayMap((name, events) -> (name, toFloat64(events)), mapKeys(names), mapValues(names))
) AS counted
"""
FIRST_SEEN = """
WITH people AS (
    SELECT
        tenant_id,
        min(toUnixTimestamp64Micro(occurred_at)) AS first,
        minIf(toUnixTimestamp64Micro(occurred_at), event_name = 'session_submitted') AS submitted,
        countIf(event_name = 'session_submitted') AS sessions
    FROM {events}
    WHERE anonymous_user_id != ''
    GROUP BY tenant_id, anonymous_user_id
),
counted AS (
    SELECT
        tenant_id,
        toDate(intDiv(first, 86400000000)) AS day,
        count() AS users,
        countIf(sessions > 0 AND submitted <= first + 86400000000) AS converted
    FROM people
    GROUP BY tenant_id, day
)
SELECT day, tenant_id || ' ' || counted.1 AS name, counted.2 AS value
FROM counted
ARRAY JOIN [('new_users', toFloat64(users)), ('logging_rate_24h', converted / users)] AS counted
"""
# windowFunnel gives the depth alone; the times between the steps need each user's times in arrays.
FUNNEL = """
WITH numbered AS (
    SELECT
        tenant_id,
        anonymous_user_id,
        {step} AS step,
        toUnixTimestamp64Micro(occurred_at) AS at,
        if(step = 1, experiment_map['landing'], '') AS variant
    FROM {events}
    WHERE step > 0 AND anonymous_user_id != ''
),
people AS (
    SELECT
        tenant_id,
        cityHash64(anonymous_user_id) AS person,
        groupArrayIf((at, variant), step = 1) AS ones,
        arraySort(groupArrayIf(at, step = 2)) AS twos,
        arraySort(groupArrayIf(at, step = 3)) AS threes,
        arraySort(groupArrayIf(at, step = 4)) AS fours,
        arraySort(groupArrayIf(at, step = 5)) AS fives
    FROM numbered
    GROUP BY tenant_id, anonymous_user_id
    HAVING notEmpty(ones)
),
chains AS (
    SELECT
        tenant_id,
        person,
        entry.1 AS at,
        entry.2 AS variant,
        intDiv(at, 86400000000) AS cohort,
        at + 86400000000 AS until,
        arrayFirst(time -> time >= at, twos) AS two,
        if(two = 0, 0, arrayFirst(time -> time >= two, threes)) AS three,
        if(three = 0, 0, arrayFirst(time -> time >= three, fours)) AS four,
        if(four = 0, 0, arrayFirst(time -> time >= four, fives)) AS five,
        multiIf(
            two = 0 OR two > until, 1, three = 0 OR three > until, 2, four = 0 OR four > until, 3,
            five = 0 OR five > until, 4, 5
        ) AS depth
    FROM people
    ARRAY JOIN ones AS entry
),
furthest AS (
    SELECT
        tenant_id,
        cohort,
        dimension,
        argMax((depth, two - at, three - two, four - three, five - four), (depth, at)) AS best
    FROM chains
    ARRAY JOIN if(variant = '', ['overall'], ['overall', 'landing:' || variant]) AS dimension
    GROUP BY tenant_id, person, cohort, dimension
),
counted AS (
    SELECT
        tenant_id,
        cohort,
        dimension,
        [
            (1, count(), 0),
            (2, countIf(best.1 >= 2), quantileExactInclusiveIf(0.5)(best.2, best.1 >= 2)),
            (3, countIf(best.1 >= 3), quantileExactInclusiveIf(0.5)(best.3, best.1 >= 3)),
            (4, countIf(best.1 >= 4), quantileExactInclusiveIf(0.5)(best.4, best.1 >= 4)),
            (5, countIf(best.1 >= 5), quantileExactInclusiveIf(0.5)(best.5, best.1 >= 5))
        ] AS steps
    FROM furthest
    GROUP BY tenant_id, cohort, dimension
)
SELECT
    toDate(cohort) AS day,
    concat(tenant_id, ' ', dimension, ' ', toString(step.1), ' ', kind) AS name,
    if(kind = 'users', toFloat64(step.2), step.3 / 1e6) AS value
FROM (SELECT tenant_id, cohort, dimension, arrayJoin(steps) AS step FROM counted)
ARRAY JOIN if(step.1 = 1, ['users'], ['users', 'median']) AS kind
WHERE step.2 > 0
"""


def main() -> None:
    """Do the piece of work named on stdin."""
    task = json.load(sys.stdin)
    files = task["files"]
    folder = files[0].rsplit("/", 2)[0]
    names = ",".join(path[len(folder) + 1 :] for path in files)
    events = EVENTS.format(files=f"{folder}/{{{names}}}")
    sql = {"daily": DAILY, "first_seen": FIRST_SEEN, "funnel": FUNNEL}[task["work"]].format(events=events, step=STEP)
    settings = " SETTINGS max_threads = 2, session_timezone = 'UTC'"
    chdb.query("SELECT 1")
    used = resource.getrusage(resource.RUSAGE_SELF)
    started, cpu = time.monotonic(), used.ru_utime + used.ru_stime
    rows = [json.loads(line) for line in str(chdb.query(sql + settings, "JSONCompactEachRow")).splitlines()]
    used = resource.getrusage(resource.RUSAGE_SELF)
    measured = {
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - cpu, 3),
        "base": 0,
        "peak": used.ru_maxrss * 1024,
        "counts": sorted([day, name, round(float(value), 6)] for day, name, value in rows),
    }
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
