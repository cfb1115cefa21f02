"""How fast export and rollups are, and how much memory they take: `python -m benchmarks.rollups --events 1000000`.

Generates seeded events of 30 days and two experiments straight into an embedded Postgres, exports them, then computes
and publishes the three jobs over 14 days. Each measured step is a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from cli.database import ready_database
from pipeline.database import connect
from pipeline.rollups.jobs import DEFAULT_WINDOW_DAYS, JOBS, Window
from pipeline.settings import REPOSITORY, Settings

SEED = 20_260_219
USERS_PER_EVENT = 0.01
AS_OF = datetime(2026, 2, 19, 23, 59, 59, tzinfo=UTC)
FIRST_MOMENT = (AS_OF - timedelta(days=29)).replace(hour=0, minute=0, second=0)
EXPERIMENTS = {"landing": "ABC", "density": "AB"}
STRETCH = 250_000
LOADERS = 2
FOLDER = Path(__file__).parent


def main(arguments: Sequence[str]) -> None:
    """Measure each number of events in a deployment of its own and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--home", type=Path, help="keep the deployments below this folder, and use those found there")
    parser.add_argument("--json", action="store_true", help="print JSON lines instead of the table")
    parser.add_argument("--step", choices=sorted(STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        print(json.dumps(STEPS[options.step]()))
        return
    results = []
    for events in options.events:
        if options.home:
            results.append(measure(events, options.home / str(events)))
        else:
            with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
                Path(folder).chmod(0o755)
                results.append(measure(events, Path(folder)))
    if options.json:
        for result in results:
            print(json.dumps(result))
    else:
        print(table(results))


def measure(events: int, home: Path) -> dict[str, Any]:
    """Fill a deployment with events, and return what export and rollups took."""
    settings = Settings(home=home)
    home.mkdir(parents=True, exist_ok=True)
    with ready_database(settings) as database_url:
        started = time.monotonic()
        generate(database_url, events)
        say(f"{events:,} events generated in {time.monotonic() - started:.0f} s")
        result: dict[str, Any] = {"events": events}
        for step in STEPS:
            result[step] = run_step(step, database_url, home)
            say(f"{step}: {result[step]}")
    return result


def generate(database_url: str, events: int, first_moment: datetime = FIRST_MOMENT, days: int = 30) -> None:
    """Write events and assignments with the server's own generator; nothing when they are there already."""
    users = max(int(events * USERS_PER_EVENT), 100)
    span = days * 86_400_000_000
    common = {"events": events, "users": users, "seed": SEED, "first_moment": first_moment, "span": span}
    with connect(database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
        if row and row[0] == events:
            return
        connection.execute("TRUNCATE event_logs, assignments, experiment_variants, experiments")
        for experiment_id, variants in EXPERIMENTS.items():
            connection.execute(
                "INSERT INTO experiments (experiment_id, status) VALUES (%s, 'RUNNING')", [experiment_id]
            )
            for variant_id in variants:
                connection.execute(
                    "INSERT INTO experiment_variants (experiment_id, variant_id, variant_name, weight)"
                    " VALUES (%s, %s, %s, 1)",
                    [experiment_id, variant_id, variant_id],
                )
        connection.execute((FOLDER / "generate_assignments.sql").read_bytes(), common)

    def insert(first: int) -> None:
        scope = {**common, "first_number": first, "last_number": min(first + STRETCH, events) - 1}
        with connect(database_url, autocommit=True) as connection:
            connection.execute((FOLDER / "generate_events.sql").read_bytes(), scope)

    with ThreadPoolExecutor(LOADERS) as pool:
        list(pool.map(insert, range(0, events, STRETCH)))
    with connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE event_logs")
        connection.execute("ANALYZE assignments")


def run_step(step: str, database_url: str, home: Path) -> dict[str, Any]:
    """Run one step in a fresh process and return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.rollups", "--step", step],
        cwd=REPOSITORY,
        env={**os.environ, "DATABASE_URL": database_url, "TIDEMARK_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def export_step() -> dict[str, Any]:
    """Export everything into a new lake."""
    from pipeline.export.run import export  # noqa: PLC0415
    from pipeline.lake.table import Lake  # noqa: PLC0415

    settings, database_url = deployment()
    shutil.rmtree(settings.lake, ignore_errors=True)
    base = resident_bytes()
    started = time.monotonic()
    exported = export(database_url, Lake(settings.lake))
    return {"seconds": time.monotonic() - started, "rows": exported.rows, "base": base, "peak": peak_bytes()}


def rollup_step() -> dict[str, Any]:
    """Compute, check and publish the three jobs."""
    from pipeline.rollups.run import roll_up  # noqa: PLC0415

    settings, database_url = deployment()
    base = resident_bytes()
    started = time.monotonic()
    published = roll_up(settings, database_url, JOBS, Window.ending(AS_OF, DEFAULT_WINDOW_DAYS), AS_OF)
    return {
        "seconds": time.monotonic() - started,
        "rows": sum(run.rows_written for run in published),
        "base": base,
        "peak": peak_bytes(),
        "jobs": {run.job_name: run.seconds for run in published},
    }


STEPS = {"export": export_step, "rollups": rollup_step}


def deployment() -> tuple[Settings, str]:
    """Return the settings of this process and its database."""
    settings = Settings()
    if settings.database_url is None:
        raise SystemExit("a step needs DATABASE_URL")
    return settings, settings.database_url.get_secret_value()


def resident_bytes() -> int:
    """Return the memory this process holds now."""
    return int(psutil.Process().memory_info().rss)


def peak_bytes() -> int:
    """Return the most memory this process ever held."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # noqa: PLC0415

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a Markdown table, below a line about the machine."""
    lines = [
        machine(),
        "",
        "| events | export s | export rows/s | export peak MiB (over base) | daily s | experiment s | funnel s"
        " | rollups + publish s | peak MiB (over base) | rows |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        export, rollups = result["export"], result["rollups"]
        jobs = " | ".join(f"{seconds:.2f}" for seconds in rollups["jobs"].values())
        lines.append(
            f"| {result['events']:,} | {export['seconds']:.2f} | {export['rows'] / export['seconds']:,.0f}"
            f" | {memory(export)} | {jobs} | {rollups['seconds']:.2f} | {memory(rollups)} | {rollups['rows']:,} |"
        )
    return "\n".join(lines)


def memory(step: dict[str, Any]) -> str:
    """Return a step's peak memory, and how much of it came after the imports."""
    return f"{step['peak'] / 2**20:.0f} ({(step['peak'] - step['base']) / 2**20:.0f})"


def machine() -> str:
    """Name the machine: cores, memory, processor, versions."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if (
        info.exists()
    ) else []  # fmt: skip
    return (
        f"{psutil.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB,"
        f" {names[0] if names else platform.processor()}, Python {platform.python_version()}"
    )


def say(text: str) -> None:
    """Report progress on stderr."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
