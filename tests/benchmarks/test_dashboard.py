"""The benchmark of the dashboard runs, at a size that takes seconds: it asks for every page and weighs it."""

from __future__ import annotations

import json
import subprocess
import sys

from benchmarks.dashboard import pages
from pipeline.settings import REPOSITORY


def test_a_small_dashboard_is_weighed_and_timed() -> None:
    command = ("-m", "benchmarks.dashboard", "--json", "--days", "3", "--experiments", "2", "--requests", "2")
    done = subprocess.run(
        [sys.executable, *command], cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [row["page"] for row in found] == pages(["experiment_00"])
    for row in found:
        if row["status"] == 200:
            assert 0 < row["page_kilobytes"] < row["first_visit_kilobytes"] < 150, row
            assert 0 < row["p50"] <= row["p95"]
    assert sum(row["status"] == 200 for row in found) >= 8
