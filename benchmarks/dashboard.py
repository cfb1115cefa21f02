"""What a page of the dashboard weighs and how long the server takes for it: `python -m benchmarks.dashboard`.

Publishes numbers as runs would (90 days, 50 experiments), signs in, and asks for each page as a browser does: the
weight is everything a first visit loads, compressed; the time is that of the whole answer on one connection, over
loopback.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg

from benchmarks.ingest_system import System, started_system
from benchmarks.rollups import machine
from pipeline.clock import day_start
from pipeline.rollups.jobs import REFRESH_JOBS, job_named

DAYS, EXPERIMENTS, REQUESTS = 90, 50, 60
EVENT_NAMES = tuple(f"event_of_the_app_{number}" for number in range(30))
STEPS = ("active_open", "workout_engaged", "exercise_logged", "session_submitted", "achievement_unlocked")
PERIODS = (1, 3, 7, 14, 30)
EXPERIMENT_METRICS = ("users_assigned", "users_active_d1", "sessions_submitted_d7", "logging_rate_24h_by_variant")
MAX_KILOBYTES, MAX_MILLISECONDS = 150.0, 100.0
COLUMNS = {
    "daily_metric_rollups": ("day", "metric_name", "dimension_key", "value", "run_id"),
    "experiment_metric_rollups": ("day", "experiment_id", "variant_id", "metric_name", "value", "dimensions", "run_id"),
    "funnel_rollups": (
        "day", "funnel_name", "step_name", "dimension_key", "experiment_id", "variant_id", "users_count",
        "events_count", "run_id",
    ),
    "funnel_cohort_rollups": (
        "day", "funnel_name", "step_name", "dimension_key", "step_number", "experiment_id", "variant_id", "users_count",
        "median_seconds", "window_seconds", "complete_at", "run_id",
    ),
    "retention_rollups": (
        "day", "days_after", "dimension_key", "experiment_id", "variant_id", "cohort_size", "retained_users",
        "complete_at", "run_id",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """One page: its status, what a first visit loads (kB of 1,000 bytes, compressed), and the server's milliseconds."""

    page: str
    status: int
    page_kilobytes: float
    first_visit_kilobytes: float
    p50: float
    p95: float


def main() -> None:
    """Publish, measure and print a table; or, with --json, one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS)
    parser.add_argument("--requests", type=int, default=REQUESTS, help=f"of each page (default {REQUESTS})")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with started_system(home, 1) as system:
            names = [f"experiment_{number:02d}" for number in range(options.experiments)]
            rows = publish(system.connection, options.days, names)
            found = list(measure(system, names, options.requests))
    print(f"{machine()}; {options.days} days, {options.experiments} experiments, {rows:,} published rows")
    print("\n| page | kB | first visit kB | p50 ms | p95 ms |\n|---|---|---|---|---|")
    for row in found:
        name = row.page if row.status == 200 else f"{row.page} ({row.status})"
        print(
            f"| {name} | {row.page_kilobytes:.1f} | {row.first_visit_kilobytes:.1f} | {row.p50:.1f} | {row.p95:.1f} |"
        )
    print(f"\nWanted: at most {MAX_KILOBYTES:.0f} kB and {MAX_MILLISECONDS:.0f} ms (p95).")
    if options.json:
        print(json.dumps([asdict(row) for row in found]))


def pages(names: Sequence[str]) -> list[str]:
    """Return the pages to ask for, at their heaviest: 90 days, and variants compared."""
    by = urlencode({"by": names[0]})
    return [
        "/overview?days=90",
        "/overview",
        "/experiments?days=90",
        f"/experiments/{quote(names[0])}?days=90",
        "/funnels?days=90",
        f"/funnels?days=90&{by}",
        "/retention?days=90",
        f"/retention?days=90&{by}",
        "/ingestion?days=90",
        "/lake?days=90",
        "/metrics-catalogue",
        "/provenance?metric=dau_mean&days=90",
    ]


def measure(system: System, names: Sequence[str], requests: int) -> Iterator[Measured]:
    """Sign in and measure each page; the pages take turns, so that a busy moment is not one page's."""
    client = http.client.HTTPConnection(system.url.removeprefix("http://"))
    token = system.running.settings.dashboard_token
    assert token is not None, "a running system has one"
    form = urlencode({"token": token.get_secret_value()})
    answer = ask(client, "POST", "/login", form, {"content-type": "application/x-www-form-urlencoded"})
    headers = {"cookie": answer.cookie, "accept-encoding": "gzip"}
    first = {page: ask(client, "GET", page, headers=headers) for page in pages(names)}
    times: dict[str, list[float]] = {page: [] for page in first}
    for _ in range(requests):
        for page, taken in times.items():
            began = time.perf_counter()
            ask(client, "GET", page, headers=headers)
            taken.append((time.perf_counter() - began) * 1_000)
    for page, taken in times.items():
        plain = ask(client, "GET", page, headers={"cookie": answer.cookie}).body.decode()
        files = set(re.findall(r'<(?:script|link|img)[^>]*?(?:src|href)="(/static/[^"]+)"', plain))
        loaded = sum(len(ask(client, "GET", file, headers=headers).body) for file in sorted(files))
        weight = len(first[page].body)
        cuts = statistics.quantiles(taken, n=100, method="inclusive")
        yield Measured(page, first[page].status, weight / 1e3, (weight + loaded) / 1e3, cuts[49], cuts[94])


@dataclass(frozen=True)
class Answer:
    """A whole answer as it came; `cookie` is what it set."""

    status: int
    body: bytes
    cookie: str


def ask(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and read the whole answer."""
    client.request(method, path, body, dict(headers or {}))
    answer = client.getresponse()
    return Answer(answer.status, answer.read(), (answer.getheader("set-cookie") or "").split(";")[0])


def publish(connection: psycopg.Connection, days: int, names: Sequence[str]) -> int:
    """Write published rows for the default tenant; return how many. Daily ones go back for two windows."""
    now = datetime.now(UTC)
    run_ids = {job_named(name).run_name: _run(connection, job_named(name).run_name, now) for name in REFRESH_JOBS}
    chance = random.Random(6)
    today = now.date()
    for name in names:
        connection.execute("INSERT INTO experiments (experiment_id, status) VALUES (%s, 'RUNNING')", [name])
        for variant in "AB":
            connection.execute(
                "INSERT INTO experiment_variants (experiment_id, variant_id, variant_name, is_control, weight)"
                " VALUES (%s, %s, %s, %s, 1)",
                [name, variant, f"variant {variant}", variant == "A"],
            )
    groups: list[tuple[str, str | None, str | None]] = [("overall", None, None)]
    groups += [(f"{name}:{variant}", name, variant) for name in names for variant in "AB"]
    tables = {
        "daily_metric_rollups": _daily(today, 2 * days, chance, run_ids["daily_metrics_rollup"]),
        "experiment_metric_rollups": _experiments(today, days, names, run_ids["experiment_metrics_rollup"]),
        "funnel_rollups": _funnels(today, days, groups, run_ids["funnel_rollup"]),
        "funnel_cohort_rollups": _cohorts(today, days, groups, run_ids["funnel_cohort_rollup"]),
        "retention_rollups": _retention(today, days, groups, run_ids["retention_rollup"]),
    }
    written = 0
    with connection.cursor() as cursor:
        for table, rows in tables.items():
            copying = psycopg.sql.SQL("COPY {} ({}) FROM STDIN").format(
                psycopg.sql.Identifier(table), psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, COLUMNS[table]))
            )
            with cursor.copy(copying) as copy:
                for row in rows:
                    copy.write_row(row)
                    written += 1
        cursor.execute("ANALYZE")
    return written


def _run(connection: psycopg.Connection, job_name: str, at: datetime) -> uuid.UUID:
    run_id = uuid.uuid4()
    connection.execute(
        "INSERT INTO rollup_runs (run_id, job_name, status, window_start, window_end, as_of, code_version, sql_sha256,"
        " lake_version, finished_at) VALUES (%s, %s, 'SUCCESS', %s, %s, %s, 'x', 'x', 1, %s)",
        [run_id, job_name, at, at, at, at],
    )
    connection.execute(
        "INSERT INTO run_provenance (run_id, file_ids, steps, inputs, parameters, engines, newest_received_at,"
        " result_rows, result_sha256) VALUES (%s, '{}', '[]', '[]', '{}', '{}', %s, 0, '')",
        [run_id, at],
    )
    return run_id


def _back(today: date, days: int) -> Iterator[date]:
    return (today - timedelta(days=number) for number in range(days))


def _daily(today: date, days: int, chance: random.Random, run_id: uuid.UUID) -> Iterator[tuple[Any, ...]]:
    for day in _back(today, days):
        new_users = chance.randrange(20, 400)
        values = {
            "dau": chance.randrange(2_000, 9_000),
            "new_users": new_users,
            "sessions_submitted": chance.randrange(500, 4_000),
            "logging_rate_24h": chance.randrange(new_users) / new_users,
            "ingestion_lag_p50": chance.uniform(1, 60),
            "ingestion_lag_p95": chance.uniform(60, 20_000),
        }
        yield from ((day, name, "overall", value, run_id) for name, value in values.items())
        for name in EVENT_NAMES:
            yield day, "event_volume_by_name", name, chance.randrange(10_000), run_id


def _experiments(today: date, days: int, names: Sequence[str], run_id: uuid.UUID) -> Iterator[tuple[Any, ...]]:
    for day in _back(today, days):
        for name in names:
            for variant in "AB":
                for metric in EXPERIMENT_METRICS:
                    value = 0.4 if metric.startswith("logging") else 1_200
                    dimensions = json.dumps({"day": str(day), "cohort_size": 40, "converted_users": 16})
                    yield day, name, variant, metric, value, dimensions, run_id


def _funnels(today: date, days: int, groups: Sequence[Any], run_id: uuid.UUID) -> Iterator[tuple[Any, ...]]:
    for day in _back(today, days):
        for key, experiment, variant in groups:
            for number, step in enumerate(STEPS):
                yield day, "core_journey", step, key, experiment, variant, 900 - 150 * number, 4_000, run_id


def _cohorts(today: date, days: int, groups: Sequence[Any], run_id: uuid.UUID) -> Iterator[tuple[Any, ...]]:
    for day in _back(today, days):
        complete_at = day_start(day + timedelta(days=2))
        for key, experiment, variant in groups:
            for number, step in enumerate(STEPS):
                yield (
                    day, "core_journey", step, key, number + 1, experiment, variant, 900 - 150 * number,
                    93.5 if number else None, 86_400, complete_at, run_id,
                )  # fmt: skip


def _retention(today: date, days: int, groups: Sequence[Any], run_id: uuid.UUID) -> Iterator[tuple[Any, ...]]:
    for day in _back(today, days):
        for key, experiment, variant in groups:
            for period in PERIODS:
                complete_at = day_start(day + timedelta(days=period + 1))
                yield day, period, key, experiment, variant, 400, 400 // (period + 2), complete_at, run_id


if __name__ == "__main__":
    main()
