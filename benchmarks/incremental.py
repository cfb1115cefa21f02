"""What a refresh costs by the size of the history: `python -m benchmarks.incremental`.

A lake of 100,000 events a day, written as the export writes it; then a new day of 100,000 events and 1 % that are late
(half of them by a day, a quarter by two, ...) arrive in Postgres, and a refresh brings everything up to date. The users
of a day are alike in every history: most came lately, the others within a year. An experiment has run for 30 days. Each
measured step is a process of its own. The full rebuild is measured before, over the same history.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.history import (
    EVENTS_A_DAY,
    generate,
    generator,
    name_of,
    people_of,
    variant_of,
    write_history,
)
from benchmarks.rollups import deployment, machine, peak_bytes, resident_bytes, say
from cli.database import ready_database
from pipeline.clock import day_start
from pipeline.database import connect
from pipeline.export.run import DATABASE, SYSTEM
from pipeline.export.source import export_transaction
from pipeline.ingestion.event_store import EventRow, store
from pipeline.lake.table import EXPORT_WATERMARK, Lake
from pipeline.settings import REPOSITORY, Settings

LAST_DAY = date(2026, 11, 20)
EXPERIMENT = "landing"
EXPERIMENT_DAYS = 30
LATE_SHARE = 0.01
GROUP = 5_000
PHASES = ("export", "state", "compute", "publish")
LIMIT_RATIO = 1.5


def main(arguments: Sequence[str]) -> None:
    """Measure each size of history in a deployment of its own and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000, 50_000_000])
    parser.add_argument("--new-events", type=int, default=EVENTS_A_DAY, help="events of a day, in history and new")
    parser.add_argument(
        "--days", type=int, default=3, help="new days to refresh, one after the other; medians are shown"
    )
    parser.add_argument("--home", type=Path, help="keep the deployments below this folder, and use those found there")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of the table")
    parser.add_argument("--step", choices=("refresh", "full"), help=argparse.SUPPRESS)
    parser.add_argument("--as-of", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        print(json.dumps(step(datetime.fromisoformat(options.as_of), full=options.step == "full")))
        return
    results = []
    for events in options.events:
        with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
            Path(folder).chmod(0o755)
            home = options.home / str(events) if options.home else Path(folder)
            results.append(measure(events, options.new_events, options.days, home))
    if options.json:
        for result in results:
            print(json.dumps(result))
    else:
        print(table(results))


def measure(events: int, events_a_day: int, new_days: int, home: Path) -> dict[str, Any]:
    """Fill a deployment with a history, and return what a full rebuild and the refreshes of new days took."""
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    days = max(events // events_a_day, 1)
    with ready_database(settings) as database_url:
        lake = Lake(settings.lake)
        if lake.snapshot() is None:
            started = time.monotonic()
            prepare(database_url, lake, days, events_a_day)
            say(f"{events:,} events generated in {time.monotonic() - started:.0f} s")
        snapshot = lake.snapshot()
        if snapshot is None:
            raise SystemExit("the history was not written")
        last = max(snapshot.days())
        full = run_step("full", database_url, home, last)
        say(f"full rebuild: {full}")
        refreshes = []
        for number in range(1, new_days + 1):
            day = last + timedelta(days=number)
            arrive(database_url, day, days + (day - LAST_DAY).days - 1, events_a_day)
            refreshes.append(run_step("refresh", database_url, home, day))
            say(f"refresh of {day}: {refreshes[-1]}")
    return {"events": events, "full": full, "refreshes": refreshes}


def prepare(database_url: str, lake: Lake, days: int, events_a_day: int) -> None:
    """Write the history, and the experiment with the assignments of those who joined since it began."""
    first = max(days - EXPERIMENT_DAYS, 0)
    people = people_of(first, days + 60)
    with connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE event_logs, assignments, experiment_variants, experiments")
        connection.execute("INSERT INTO experiments (experiment_id, status) VALUES (%s, 'RUNNING')", [EXPERIMENT])
        for variant in "ABC":
            connection.execute(
                "INSERT INTO experiment_variants (experiment_id, variant_id, variant_name, weight)"
                " VALUES (%s, %s, %s, 1)",
                [EXPERIMENT, variant, variant],
            )
        assign(connection, [person for person in people if person < people_of(days, days).start], LAST_DAY)
    with export_transaction(database_url, 0) as transaction:
        source = transaction.source
    marks = {EXPORT_WATERMARK: source.hi, DATABASE: source.database}
    if source.system is not None:
        marks[SYSTEM] = source.system
    write_history(lake, LAST_DAY, days, events_a_day, marks)


def assign(connection: psycopg.Connection, people: Sequence[int], day: date) -> None:
    """Assign people to their variants on a day."""
    with connection.cursor().copy(
        "COPY assignments (anonymous_user_id, experiment_id, variant_id, assigned_at) FROM STDIN"
    ) as copy:
        for person in people:
            copy.write_row((name_of(person), EXPERIMENT, variant_of(person), day_start(day)))


def arrive(database_url: str, day: date, number: int, events: int) -> None:
    """Store the events of one new day, and the late ones, as the API would; new people are assigned first."""
    with generator() as engine:
        rows = generate(engine, day, number, int(events * (1 + LATE_SHARE)), late_share=LATE_SHARE / (1 + LATE_SHARE))
    names = [name for name in EventRow._fields if name not in {"assignment_version", "assignments", "experiment_map"}]
    columns = {name: rows[name].to_pylist() for name in names}
    with connect(database_url, autocommit=True) as connection:
        assign(connection, people_of(number, number), day)
        for start in range(0, rows.num_rows, GROUP):
            group = {name: values[start : start + GROUP] for name, values in columns.items()}
            store(
                connection,
                [EventRow(**dict(zip(names, row, strict=True))) for row in zip(*group.values(), strict=True)],
            )


def run_step(name: str, database_url: str, home: Path, day: date) -> dict[str, Any]:
    """Refresh in a fresh process as of the end of a day, and return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.incremental", "--step", name, "--as-of", end_of(day).isoformat()],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def end_of(day: date) -> datetime:
    """Return the last second of a UTC day."""
    return datetime(day.year, day.month, day.day, 23, 59, 59, tzinfo=UTC)


def step(as_of: datetime, *, full: bool) -> dict[str, Any]:
    """Refresh, and measure each phase by itself."""
    from pipeline.refresh import run as refresh  # noqa: PLC0415
    from pipeline.rollups import run as rollups  # noqa: PLC0415

    settings, database_url = deployment()
    meter = Meter()
    parts = (
        (refresh, "export", "export"), (refresh, "advance", "state"), (refresh, "roll_up_days", "compute"),
        (rollups, "publish_together", "publish"),
    )  # fmt: skip
    for module, function, phase in parts:
        setattr(module, function, meter.measured(phase, getattr(module, function)))
    base = resident_bytes()
    started, cpu = time.monotonic(), time.process_time()
    result = refresh.refresh(settings, database_url, as_of, full=full)
    seconds, cpu_seconds = time.monotonic() - started, time.process_time() - cpu
    meter.switch("end")
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu_seconds, 3),
        "base": base,
        "peak": max(phase["peak"] for phase in meter.phases.values()),
        "exported_rows": result.exported_rows,
        "days": {job: len(days) for job, days in result.days.items()},
        "rebuilt": result.why_rebuilt,
        "phases": {name: meter.phases[name] for name in PHASES if name in meter.phases},
    }


class Meter:
    """Seconds, CPU seconds and peak memory of a process by phase; a phase within another interrupts that one."""

    def __init__(self) -> None:
        self.phases: dict[str, dict[str, float]] = {}
        self._phase = "other"
        self._since = (time.monotonic(), time.process_time())

    def measured(self, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same and counts as the phase."""

        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the function takes and gives
            outer = self._phase
            self.switch(phase)
            try:
                return function(*arguments, **options)
            finally:
                self.switch(outer)

        return call

    def switch(self, phase: str) -> None:
        """End the phase under way and begin another."""
        now = (time.monotonic(), time.process_time())
        found = self.phases.setdefault(self._phase, {"seconds": 0.0, "cpu_seconds": 0.0, "peak": 0})
        found["seconds"] = round(found["seconds"] + now[0] - self._since[0], 3)
        found["cpu_seconds"] = round(found["cpu_seconds"] + now[1] - self._since[1], 3)
        found["peak"] = max(found["peak"], peak_bytes())
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
        self._phase, self._since = phase, now


def middle(result: dict[str, Any], *keys: str) -> float:
    """Return the median over the refreshes of a figure."""
    values = []
    for refresh in result["refreshes"]:
        value: Any = refresh
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else value
        values.append(value if isinstance(value, (int, float)) else 0.0)
    return statistics.median(values)


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as Markdown tables, below a line about the machine."""
    phases = " | ".join(f"{name} s (CPU s, peak MiB)" for name in PHASES)
    lines = [
        machine(), "",
        f"| history | {phases} | refresh s (CPU s, peak MiB) | days computed | full rebuild s (CPU s, peak MiB) |",
        "|---|" + "---|" * (len(PHASES) + 3),
    ]  # fmt: skip
    for result in results:
        cells = [
            _cell(*(middle(result, "phases", name, key) for key in ("seconds", "cpu_seconds", "peak")))
            for name in PHASES
        ]
        cells.append(_cell(*(middle(result, key) for key in ("seconds", "cpu_seconds", "peak"))))
        cells.append(", ".join(f"{job} {days}" for job, days in result["refreshes"][-1]["days"].items()))
        cells.append(_cell(*(result["full"][key] for key in ("seconds", "cpu_seconds", "peak"))))
        lines.append(f"| {result['events']:,} | {' | '.join(cells)} |")
    small, large = results[0], results[-1]
    ratios = {key: middle(large, key) / middle(small, key) for key in ("seconds", "cpu_seconds", "peak")}
    highest = max(refresh["peak"] for result in results for refresh in result["refreshes"]) / 2**20
    lines += [
        "",
        f"{large['events']:,} against {small['events']:,} events of history: {ratios['seconds']:.2f} times the seconds,"
        f" {ratios['cpu_seconds']:.2f} times the CPU seconds, {ratios['peak']:.2f} times the memory"
        f" (wanted: at most {LIMIT_RATIO}); at most {highest:.0f} MiB.",
    ]
    return "\n".join(lines)


def _cell(seconds: float, cpu_seconds: float, peak: float) -> str:
    return f"{seconds:.2f} ({cpu_seconds:.2f}, {peak / 2**20:.0f})"


if __name__ == "__main__":
    main(sys.argv[1:])
