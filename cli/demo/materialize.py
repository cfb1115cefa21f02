"""Materializes a range of days through Dagster: one run of all assets, kept in the history that its UI shows."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path

from cli.child_process import Child, ChildProcess
from cli.dagster_processes import DEFINITIONS, RANGE_JOB, prepare_instance, range_tags
from cli.demo.folder import DemoError
from pipeline.settings import REPOSITORY, Settings

STEP_SUCCESS = b"STEP_SUCCESS"
STEP_FAILURE = "STEP_FAILURE"
POLL_SECONDS = 0.2


def materialize(
    settings: Settings, environment: Mapping[str, str], first: date, last: date, told: Callable[[int], None]
) -> None:
    """Export, compute, check and publish the UTC days from `first` to `last`, both included.

    `environment` is that of a running system's processes; `told` hears the number of finished steps. Repeating it
    gives the same rows. Raises DemoError, with what Dagster said, when the run fails.
    """
    prepare_instance(settings)
    log = settings.home / "logs" / "demo-materialize.log"
    log.unlink(missing_ok=True)
    process = ChildProcess(_command(environment, first, last), log)
    try:
        while (code := process.exit_code()) is None:
            time.sleep(POLL_SECONDS)
            told(_count(log, STEP_SUCCESS))
    finally:
        _end(process)
    if code != 0:
        raise DemoError(f"Dagster could not materialize {first} to {last}: {_last_words(log)} (log: {log})")


def _command(environment: Mapping[str, str], first: date, last: date) -> Child:
    return Child(
        name="demo-materialize",
        command=(
            *(sys.executable, "-m", "dagster", "job", "execute", "-m", DEFINITIONS, "-j", RANGE_JOB),
            *("--tags", json.dumps(range_tags(first, last))),
        ),
        environment=environment,
        folder=REPOSITORY,
    )


def _end(process: ChildProcess) -> None:
    """Let an interrupted run write into its history that it was interrupted, if it is quick about it."""
    process.terminate()
    deadline = time.monotonic() + process.child.stop_seconds
    while process.exit_code() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    process.kill()


def _last_words(log: Path) -> str:
    said = [line.decode(errors="replace").strip() for line in _lines(log)]
    failures = [line for line in said if STEP_FAILURE in line]
    return next((line for line in (*failures, *reversed(said)) if line), "it printed nothing")


def _count(log: Path, sign: bytes) -> int:
    return sum(sign in line for line in _lines(log))


def _lines(log: Path) -> Iterator[bytes]:
    if log.exists():
        with log.open("rb") as file:
            yield from file
