"""Published numbers of a tenant as runs would have left them, made from a seed: different ones for each tenant."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pipeline.clock import day_start

EVENT_NAMES = ("app_opened", "tab_opened", "exercise_logged", "session_submitted")
STEPS = ("active_open", "workout_engaged", "session_submitted")
PERIODS = (1, 3, 7, 14, 30)
JOBS = (
    "daily_metrics_rollup", "experiment_metrics_rollup", "funnel_rollup", "funnel_cohort_rollup", "retention_rollup",
)  # fmt: skip
INSERTS = {
    "daily": (
        "INSERT INTO daily_metric_rollups (tenant_id, run_id, day, metric_name, dimension_key, value)"
        " VALUES (%s, %s, %s, %s, %s, %s)"
    ),
    "experiment": (
        "INSERT INTO experiment_metric_rollups"
        " (tenant_id, run_id, day, experiment_id, variant_id, metric_name, value, dimensions)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
    ),
    "funnel": (
        "INSERT INTO funnel_rollups (tenant_id, run_id, day, dimension_key, experiment_id, variant_id, funnel_name,"
        " step_name, users_count, events_count) VALUES (%s, %s, %s, %s, %s, %s, 'core_journey', %s, %s, %s)"
    ),
    "cohort": (
        "INSERT INTO funnel_cohort_rollups (tenant_id, run_id, day, dimension_key, experiment_id, variant_id,"
        " funnel_name, window_seconds, complete_at, step_number, step_name, users_count, median_seconds)"
        " VALUES (%s, %s, %s, %s, %s, %s, 'core_journey', 86400, %s, %s, %s, %s, %s)"
    ),
    "retention": (
        "INSERT INTO retention_rollups (tenant_id, run_id, day, dimension_key, experiment_id, variant_id, days_after,"
        " cohort_size, retained_users, complete_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    ),
}


@dataclass(frozen=True)
class Publication:
    """What to publish for a tenant: the last day, how many days, names of events and of (experiment, variants)."""

    tenant_id: str
    now: datetime
    days: int = 60
    events: Sequence[str] = EVENT_NAMES
    experiments: Sequence[tuple[str, Sequence[str]]] = (("exp", ("A", "B")),)
    seed: int = 1


def publish(connection: psycopg.Connection, wanted: Publication) -> None:
    """Write the tenant's rows of every rollup table."""
    chance = random.Random(f"{wanted.tenant_id} {wanted.seed}")
    today = wanted.now.date()
    rows: dict[str, list[list[Any]]] = {name: [] for name in INSERTS}
    for back in range(wanted.days):
        day = today - timedelta(days=back)
        rows["daily"] += ([day, *row] for row in _daily(wanted, chance))
        groups: list[tuple[str | None, str | None]] = [(None, None)]
        groups += [(experiment, variant) for experiment, variants in wanted.experiments for variant in variants]
        for group in groups:
            key = "overall" if group[0] is None else f"{group[0]}:{group[1]}"
            users = chance.randrange(30, 90)
            for number, step in enumerate(STEPS, start=1):
                median = None if number == 1 else chance.uniform(0.5, 4_000)
                complete_at = day_start(day + timedelta(days=2))
                rows["cohort"].append([day, key, *group, complete_at, number, step, users, median])
                rows["funnel"].append([day, key, *group, step, users + 3, users * 4])
                users = chance.randrange(users + 1)
            size = chance.randrange(0, 40)
            for period in PERIODS:
                complete_at = day_start(day + timedelta(days=period + 1))
                rows["retention"].append([day, key, *group, period, size, chance.randrange(size + 1), complete_at])
            if group[0] is not None:
                rows["experiment"] += ([day, *group, *row] for row in _experiment(chance))
    with connection.transaction(), connection.cursor() as cursor:
        for (name, found), job in zip(rows.items(), JOBS, strict=True):
            run_id = _ran(connection, job, wanted.now)
            cursor.executemany(INSERTS[name], [[wanted.tenant_id, run_id, *row] for row in found])


def _ran(connection: psycopg.Connection, job_name: str, at: datetime) -> uuid.UUID:
    run_id = uuid.uuid4()
    connection.execute(
        "INSERT INTO rollup_runs (run_id, job_name, status, window_start, window_end, as_of, code_version, sql_sha256,"
        " lake_version, finished_at) VALUES (%s, %s, 'SUCCESS', %s, %s, %s, 'x', 'x', 7, %s)",
        [run_id, job_name, at - timedelta(days=14), at, at, at],
    )
    connection.execute(
        "INSERT INTO run_provenance (run_id, file_ids, steps, inputs, parameters, engines, newest_received_at,"
        " result_rows, result_sha256) VALUES (%s, '{}', '[]', '[]', '{}', '{}', %s, 0, '')",
        [run_id, at - timedelta(minutes=2)],
    )
    return run_id


def _daily(wanted: Publication, chance: random.Random) -> Iterator[tuple[str, str, float]]:
    new_users = chance.randrange(5, 40)
    yield "dau", "overall", chance.randrange(50, 500)
    yield "new_users", "overall", new_users
    yield "sessions_submitted", "overall", chance.randrange(20, 200)
    yield "logging_rate_24h", "overall", chance.randrange(new_users) / new_users
    yield "ingestion_lag_p50", "overall", chance.uniform(0.2, 90)
    yield "ingestion_lag_p95", "overall", chance.uniform(100, 9_000)
    for name in wanted.events:
        yield "event_volume_by_name", name, chance.randrange(1, 900)


def _experiment(chance: random.Random) -> Iterator[tuple[str, float, Jsonb]]:
    for name in ("users_assigned", "users_active_d1", "sessions_submitted_d7"):
        yield name, chance.randrange(9), Jsonb({"cohort_size": 9})
