"""What one tenant's flood costs another, and what a key costs: `python -m benchmarks.tenants`.

Tenant A sends single events at 20 times its limit of 100 per second; tenant B at its normal rate of 50. Wanted: B is
never refused, and its p95 stays under twice what it is without A.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ingest_load import wrk_version
from benchmarks.ingest_system import System, started_system
from benchmarks.rollups import machine
from pipeline.access.keys import create_key
from pipeline.access.tenants import TenantExistsError, create_tenant

SCRIPT = Path(__file__).with_name("flood_load.lua")
LIMIT = 100
FLOOD = 20
NORMAL = 50
KNOWN_SECONDS = 3.0


@dataclass(frozen=True)
class Stream:
    """What became of a stream of requests; latencies in milliseconds."""

    accepted: int
    limited: int
    other: int
    seconds: float
    p50: float
    p95: float

    def row(self, title: str) -> str:
        """A row of the table."""
        asked = (self.accepted + self.limited + self.other) / self.seconds
        return (
            f"| {title} | {asked:,.0f} | {self.accepted / self.seconds:,.1f} | {self.limited} | {self.other} "
            f"| {self.p50:.1f} / {self.p95:.1f} |"
        )


def main(arguments: Sequence[str]) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tenants", description=__doc__)
    parser.add_argument("--seconds", type=int, default=20, help="how long each row is measured (default 20)")
    parser.add_argument("--workers", type=int, default=1, help="API processes (default 1)")
    options = parser.parse_args(arguments)
    print(f"{machine()}; {wrk_version()}; {options.workers} API process(es)")
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with started_system(home, options.workers) as system:
            keys = [_key(system, tenant) for tenant in ("flooding", "normal")]
            time.sleep(KNOWN_SECONDS)
            _stream(system, keys[1], NORMAL, 3)
            quiet = _stream(system, keys[1], NORMAL, options.seconds)
            flood, beside = _both(system, keys, options.seconds)
    print("\n| stream | requests/s | accepted/s | 429 | other | p50 / p95 ms |\n|---|---|---|---|---|---|")
    print(quiet.row("B alone"))
    print(beside.row("B during the flood"))
    print(flood.row(f"A at {FLOOD} times its limit"))
    print(
        f"\nB's p95: {beside.p95 / quiet.p95:.2f} times its quiet value (wanted: under 2); refused: {beside.limited}."
    )


def _key(system: System, tenant: str) -> str:
    with suppress(TenantExistsError):
        create_tenant(system.connection, tenant)
    return create_key(system.connection, tenant, ["ingest"]).key


def _both(system: System, keys: Sequence[str], seconds: int) -> tuple[Stream, Stream]:
    found: list[Stream] = []
    flood = threading.Thread(target=lambda: found.append(_stream(system, keys[0], FLOOD * LIMIT, seconds + 4)))
    flood.start()
    time.sleep(2)
    beside = _stream(system, keys[1], NORMAL, seconds)
    flood.join()
    return found[0], beside


def _stream(system: System, key: str, rate: int, seconds: int) -> Stream:
    """Send so many requests per second over connections that each send every 20 ms or less often."""
    connections = max(rate // 50, 2)
    pause = 1000 * connections // rate
    done = subprocess.run(
        [
            *("wrk", "-t", "1", "-c", str(connections), "-d", str(seconds), "-s", str(SCRIPT)),
            *(f"{system.url}/api/events", "--", key, str(pause)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines or not lines[-1].startswith("{"):
        sys.exit(f"wrk failed: {done.stdout}{done.stderr}")
    return Stream(**json.loads(lines[-1]))


if __name__ == "__main__":
    main(sys.argv[1:])
