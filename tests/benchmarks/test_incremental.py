"""The benchmark of refreshes runs, at a size that takes seconds: what it prints is what a refresh did."""

from __future__ import annotations

import json
import subprocess
import sys

from pipeline.rollups.jobs import JOBS
from pipeline.settings import REPOSITORY


def test_a_tiny_history_is_rebuilt_and_refreshed() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.incremental", "--json"),
            *("--events", "4000", "--new-events", "1000", "--days", "1"),
        ],
        cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=250,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    (refresh,) = measured["refreshes"]
    assert measured["events"] == 4_000
    assert refresh["exported_rows"] == 1_010, "a day's events, and one in a hundred that is late"
    assert refresh["rebuilt"] is None
    assert set(measured["full"]["days"]) == set(refresh["days"]) == set(JOBS)
    assert all(refresh["days"][job] < measured["full"]["days"][job] for job in JOBS)
