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
        toDate(occurred_at, 'UTC') AS day,
        uniqExact(anonymous_user_id) AS users,
        quantilesExactInclusive(0.5, 0.95)(
            greatest(toUnixTimestamp64Micro(received_at) - toUnixTimestamp64Micro(occurred_at), 0)
        ) AS lags,
        sumMap(map(event_name, toUInt64(1))) AS names
    FROM {events}
    GROUP BY day
)
SELECT day, 'users' AS name, toFloat64(users) AS value FROM days
UNION ALL SELECT day, 'p50', lags[1] FROM days
UNION ALL SELECT day, 'p95', lags[2] FROM days
UNION ALL SELECT day, name.1, toFloat64(name.2) FROM days ARRAY JOIN CAST(names, 'Array(Tuple(String, UInt64))') AS name
"""
FIRST_SEEN = """
WITH people AS (
    SELECT
        min(toUnixTimestamp64Micro(occurred_at)) AS first,
        minIf(toUnixTimestamp64Micro(occurred_at), event_name = 'session_submitted') AS submitted,
        countIf(event_name = 'session_submitted') AS sessions
    FROM {events}
    GROUP BY anonymous_user_id
),
counted AS (
    SELECT
        toDate(intDiv(first, 86400000000)) AS day,
        count() AS users,
        countIf(sessions > 0 AND submitted <= first + 86400000000) AS converted
    FROM people
    GROUP BY day
)
SELECT day, 'new' AS name, toFloat64(users) AS value FROM counted
UNION ALL SELECT day, 'converted', toFloat64(converted) FROM counted
"""
FUNNEL = """
WITH numbered AS (
    SELECT
        cityHash64(anonymous_user_id) AS person,
        {step} AS step,
        toUInt64(toUnixTimestamp64Micro(occurred_at)) AS at,
        toInt64(intDiv(at, 86400000000)) AS day_number,
        arrayJoin(if(step = 1, [day_number], [day_number, day_number - 1])) AS cohort
    FROM {events}
    WHERE step > 0
),
deepest AS (
    SELECT
        cohort,
        windowFunnel(86400000000)(at, step = 1, step = 2, step = 3, step = 4, step = 5) AS depth
    FROM numbered
    GROUP BY person, cohort
    HAVING depth > 0
)
SELECT toDate(cohort) AS day, toString(step) AS name, toFloat64(count()) AS value
FROM deepest ARRAY JOIN range(1, toUInt64(depth) + 1) AS step
GROUP BY cohort, step
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
