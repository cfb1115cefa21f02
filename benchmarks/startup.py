"""How long `./tidemark up` takes to its first 200, in a new home and again: `python -m benchmarks.startup`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.rollups import machine
from cli.ports import free_port
from pipeline.settings import REPOSITORY

STARTS = ("first start (makes the database)", "warm start", "warm start")
LIMIT_SECONDS = 120


def main() -> None:
    """Start and stop the system in one home and print a table."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
        Path(folder).chmod(0o755)
        for name in STARTS:
            rows.append((name, *start(Path(folder))))
    print(machine())
    print()
    print("| | first 200 from /health, s | Dagster UI answers, s | all stopped, s |")
    print("|---|---|---|---|")
    for name, api, dagster, stop in rows:
        print(f"| {name} | {api:.1f} | {dagster:.1f} | {stop:.1f} |")


def start(home: Path) -> tuple[float, float, float]:
    """Run `up` once and return the seconds to the API's first 200, to Dagster's, and from SIGTERM to the end."""
    api, dagster = free_port(), free_port()
    environment = {**os.environ, "TIDEMARK_HOME": str(home), "PORT": str(api), "DAGSTER_PORT": str(dagster)}
    environment.pop("DATABASE_URL", None)
    started = time.monotonic()
    process = subprocess.Popen(
        [REPOSITORY / "tidemark", "up"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answered = [
            wait_for(url, started)
            for url in (f"http://127.0.0.1:{api}/health", f"http://127.0.0.1:{dagster}/server_info")
        ]
    finally:
        stopping = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT_SECONDS)
    return answered[0], answered[1], time.monotonic() - stopping


def wait_for(url: str, started: float) -> float:
    """Return the seconds since `started` at which `url` first answered 200."""
    while time.monotonic() - started < LIMIT_SECONDS:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - started
        except (OSError, urllib.error.URLError):
            time.sleep(0.02)
    sys.exit(f"{url} did not answer within {LIMIT_SECONDS} s")


if __name__ == "__main__":
    main()
