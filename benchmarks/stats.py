"""How long `GET /stats` takes with a long history of one shop: `python -m benchmarks.stats --visits 1000000`."""

from __future__ import annotations

import argparse
import http.client
import statistics
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.ingest_system import System, started_system
from benchmarks.rollups import machine
from pipeline.ingestion.retail_stats import count_visits

VISITS = 1_000_000
CHUNK = 100_000
PATHS, USERS, DAYS = 50_000, 300_000, 90
CONNECTIONS = (1, 16)
GENERATE = Path(__file__).with_name("generate_visits.sql")


def main() -> None:
    """Generate, measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stats", description=__doc__)
    parser.add_argument("--visits", type=int, default=VISITS)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each row is measured (default 5)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with started_system(home, 1) as system:
            seconds = _generate(system, options.visits)
            print(f"{machine()}; {options.visits:,} visits of one shop stored and counted in {seconds:.0f} s")
            print("\n| GET /stats | connections | requests/s | p50 / p95 / p99 ms |\n|---|---|---|---|")
            today = datetime.now(UTC).date()
            for title, query in (("whole history", "site_id=shop"), ("one day", f"site_id=shop&date={today}")):
                for connections in CONNECTIONS:
                    print(_row(title, connections, _ask(system, f"/stats?{query}", connections, options.seconds)))


def _generate(system: System, visits: int) -> float:
    """Store visits in chunks, each counted in its transaction as those that come through the API are."""
    started = time.monotonic()
    for first in range(0, visits, CHUNK):
        with system.connection.transaction():
            system.connection.execute(
                GENERATE.read_bytes(),
                {
                    "first": first,
                    "visits": min(CHUNK, visits - first),
                    "paths": PATHS,
                    "users": USERS,
                    "days": DAYS,
                },
            )
            count_visits(system.connection)
        print(f"{first + CHUNK:,} visits", file=sys.stderr)
    return time.monotonic() - started


def _ask(system: System, path: str, connections: int, seconds: float) -> list[float]:
    """Return the milliseconds of each request, from as many clients at once as there are connections."""
    found: list[float] = []
    until = time.monotonic() + seconds

    def ask() -> None:
        client = http.client.HTTPConnection(system.url.removeprefix("http://"))
        while time.monotonic() < until:
            began = time.perf_counter()
            client.request("GET", path)
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                raise AssertionError(f"{path} answered {answer.status}")
            found.append((time.perf_counter() - began) * 1000)
        client.close()

    threads = [threading.Thread(target=ask) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def _row(title: str, connections: int, times: list[float]) -> str:
    cuts = statistics.quantiles(times, n=100)
    rate = connections * 1000 / statistics.fmean(times)
    return f"| {title} | {connections} | {rate:,.0f} | {cuts[49]:.1f} / {cuts[94]:.1f} / {cuts[98]:.1f} |"


if __name__ == "__main__":
    main()
