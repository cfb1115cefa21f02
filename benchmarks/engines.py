"""Our computation beside other engines, over one lake: `python -m benchmarks.engines --events 1000000 10000000`.

The same three pieces of work in each engine, each in a process of its own, over the files of one lake version. Each
gives, per tenant and day, numbers that are published:
- daily: users, events by name, the exact median and 95th percentile of lag;
- first seen: users whose first event it is, and the share of them who submitted a session within 24 hours;
- ordered funnel: per step, overall and per variant, the users who entered and got that far in order within 24 hours,
  each by the entry of the day that leads furthest, of several the last; and the exact median of the time between steps.
Every number is compared. Ours are the statements of sql/rollups, as a computation runs them: for any funnels and
variants, a stretch of days at a time so that memory is bounded, and with what other jobs need of new users. The others
are written by hand to be as quick as they can: one pass over all days, for this funnel and the one experiment in the
data. Their funnels take two users to be one when 64-bit hashes of theirs are equal; ours does not.
`--chdb PYTHON` names an interpreter that has chdb, which is no dependency of ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.history import EVENTS_A_DAY, write_history
from benchmarks.rollups import machine, peak_bytes, resident_bytes, say
from pipeline.lake.table import Lake
from pipeline.settings import REPOSITORY

LAST_DAY = date(2026, 11, 20)
ENGINES = ("ours", "duckdb", "polars", "chdb")
WORKS = ("daily", "first_seen", "funnel")
WANTED_RATIO = 1.25


def main(arguments: Sequence[str]) -> None:
    """Measure each number of events and print a table for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--events-a-day", type=int, default=EVENTS_A_DAY)
    parser.add_argument("--repeat", type=int, default=3, help="runs of each piece of work; the quickest is shown")
    parser.add_argument("--home", type=Path, help="keep the lakes below this folder, and use those found there")
    parser.add_argument("--chdb", default=sys.executable, metavar="PYTHON", help="an interpreter that has chdb")
    parser.add_argument("--only", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--step", nargs=3, metavar=("ENGINE", "WORK", "LAKE"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        engine, work, root = options.step
        print(json.dumps(step(engine, work, Path(root))))
        return
    print(machine())
    for events in options.events:
        with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
            root = (options.home or Path(folder)) / f"lake-{events}"
            lake = Lake(root)
            if lake.snapshot() is None:
                days = max(events // options.events_a_day, 1)
                write_history(lake, LAST_DAY, days, events // days, {})
            results = measure(root, options.only, options.repeat, options.chdb)
            print(f"\n{events:,} events\n\n{table(results)}", flush=True)


def measure(root: Path, engines: Sequence[str], repeat: int, chdb: str) -> list[dict[str, Any]]:
    """Run every piece of work in every engine, in turn, and return the quickest run of each."""
    results: dict[tuple[str, str], dict[str, Any]] = {}
    for _ in range(repeat):
        for work in WORKS:
            for engine in engines:
                found = run_step(engine, work, root, chdb)
                say(f"{engine} {work}: { ({**found, 'counts': None}) }")
                best = results.get((engine, work))
                if best is None or found.get("cpu_seconds", 0.0) < best.get("cpu_seconds", 0.0):
                    results[engine, work] = found
    return [{"engine": engine, "work": work, **results[engine, work]} for work in WORKS for engine in engines]


def run_step(engine: str, work: str, root: Path, chdb: str) -> dict[str, Any]:
    """Run one piece of work in a fresh process and return what it measured, or why it could not be run."""
    if engine == "chdb":
        snapshot = Lake(root).snapshot()
        task = {"work": work, "files": [] if snapshot is None else snapshot.paths()}
        command = [chdb, str(Path(__file__).parent / "engine_chdb.py")]
        done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return {"missing": (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]}
    else:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.engines", "--step", engine, work, str(root)],
            cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def step(engine: str, work: str, root: Path) -> dict[str, Any]:
    """Do one piece of work in this process."""
    from benchmarks import engine_duckdb, engine_ours, engine_polars  # noqa: PLC0415

    module = {"ours": engine_ours, "duckdb": engine_duckdb, "polars": engine_polars}[engine]
    snapshot = Lake(root).snapshot()
    if snapshot is None:
        raise SystemExit(f"no lake at {root}")
    base = resident_bytes()
    started, cpu = time.monotonic(), cpu_seconds()
    counts = getattr(module, work)(snapshot)
    return {
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(cpu_seconds() - cpu, 3),
        "base": base,
        "peak": peak_bytes(),
        "counts": sorted([str(day), str(name), round(float(value), 6)] for day, name, value in counts),
    }


def cpu_seconds() -> float:
    """Return the CPU time this process has used, in the system too."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a Markdown table: ours against the best of the others, and whether the counts agree."""
    lines = [
        "| work | engine | s | CPU s | peak MiB | counts | ours / best by s | by CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for work in WORKS:
        rows = [result for result in results if result["work"] == work]
        ran = [row for row in rows if "missing" not in row]
        others = [row for row in ran if row["engine"] != "ours"]
        ours = next((row for row in ran if row["engine"] == "ours"), None)
        for row in rows:
            if "missing" in row:
                lines.append(f"| {work} | {row['engine']} | not run: {row['missing']} | | | | | |")
                continue
            told = digest(row["counts"])
            agrees = "" if ours is None else "equal" if row["counts"] == ours["counts"] else "UNEQUAL"
            ratios = ["", ""]
            if row is ours and others:
                keys = ("seconds", "cpu_seconds")
                ratios = [f"{row[key] / max(min(other[key] for other in others), 1e-3):.2f}" for key in keys]
            lines.append(
                f"| {work} | {row['engine']} | {row['seconds']:.2f} | {row['cpu_seconds']:.2f}"
                f" | {row['peak'] / 2**20:.0f} | {len(row['counts'])} rows {told} {agrees} | {' | '.join(ratios)} |"
            )
    return "\n".join(lines)


def digest(counts: Sequence[object]) -> str:
    """Return a short name of what was counted."""
    return hashlib.sha256(json.dumps(counts).encode()).hexdigest()[:8]


if __name__ == "__main__":
    main(sys.argv[1:])
