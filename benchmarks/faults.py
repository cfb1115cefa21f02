"""The fault tests of ingestion and of the lake, and what they counted: `python -m benchmarks.faults [--full]`.

Without `--full` they have the size of every test run, some minutes for all of them; with it the size that the promises
are measured by, with several times as many faults: allow an hour. The disk tests mount a small disk, which takes root,
and one test needs strace.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.rollups import machine
from pipeline.settings import REPOSITORY

TESTS = (
    "tests/api/faults",
    "tests/pipeline/export/test_export_faults.py",
    "tests/pipeline/erasure/test_erasure_faults.py",
    "tests/pipeline/lake/test_maintenance_faults.py",
    "tests/pipeline/refresh/test_refresh_faults.py",
    "tests/pipeline/refresh/test_refresh.py",
)
MARK = "faults: "
LIMIT_SECONDS = 1_800


def main() -> None:
    """Run the tests, one after the other, and print a line of counts for each; exits 1 when one fails."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--full", action="store_true", help="the full sizes: 50 kills, 100,000 events, 60 s outages")
    parser.add_argument("--only", metavar="WORDS", default="", help="only tests whose names have these (pytest -k)")
    arguments = parser.parse_args()
    print(machine())
    print()
    sys.exit(run(full=arguments.full, only=arguments.only))


def run(*, full: bool, only: str) -> int:
    """Run the tests and pass on what they count, as a list; returns the exit code."""
    command = [
        sys.executable, "-m", "pytest", *TESTS, "-s", "-q", "-p", "no:xdist", "-p", "no:cacheprovider",
        "--timeout", str(LIMIT_SECONDS), "-k", only,
    ]  # fmt: skip
    environment = {**os.environ, "TIDEMARK_FAULTS": "full" if full else "short"}
    other: list[str] = []
    with subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(MARK):
                print(f"- {line.removeprefix(MARK).rstrip()}", flush=True)
            elif len(line.strip()) > 1:
                other.append(line)
    print()
    print("".join(other[-1:] if process.returncode == 0 else other).rstrip())
    return process.returncode


if __name__ == "__main__":
    main()
