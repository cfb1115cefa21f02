"""Materializes a range of days through Dagster: one run of all assets, kept in the history that its UI shows."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from cli.child_process import Child, ChildProcess
from cli.demo.folder import DemoError
from pipeline.settings import REPOSITORY, Settings

STEP_SUCCESS = b"STEP_SUCCESS"
STEP_FAILURE = b"STEP_FAILURE"
POLL_SECONDS = 0.2


def materialize(settings: Settings, database_url: str, first: date, last: date, told: Callable[[int], None]) -> None:
    """Export, compute, check and publish the UTC days from `first` to `last`, both included.

    `told` hears the number of finished steps. Repeating it gives the same rows. Raises DemoError when the run fails.
    """
    log = settings.home / "logs" / "demo-materialize.log"
    start = log.stat().st_size if log.exists() else 0
    process = ChildProcess(_command(settings, database_url, first, last), log)
    try:
        while (code := process.exit_code()) is None:
            time.sleep(POLL_SECONDS)
            told(sum(STEP_SUCCESS in line for line in _lines(log, start)))
    finally:
        process.kill()
    told(sum(STEP_SUCCESS in line for line in _lines(log, start)))
    if code != 0:
        failures = [line.decode(errors="replace").strip() for line in _lines(log, start) if STEP_FAILURE in line]
        said = failures[0] if failures else f"exit code {code}"
        raise DemoError(f"Dagster could not materialize {first} to {last}: {said} (log: {log})")


def _command(settings: Settings, database_url: str, first: date, last: date) -> Child:
    settings.dagster_home.mkdir(parents=True, exist_ok=True)
    return Child(
        name="demo-materialize",
        command=(
            *(sys.executable, "-m", "dagster", "asset", "materialize"),
            *("--select", "*"),
            *("--partition-range", f"{first}...{last}"),
            *("-m", "dagster_project.definitions"),
        ),
        environment={
            **os.environ,
            "DATABASE_URL": database_url,
            "TIDEMARK_HOME": str(settings.home.resolve()),
            "DAGSTER_HOME": str(settings.dagster_home.resolve()),
            "PYTHONPATH": str(REPOSITORY),
        },
        folder=settings.home.resolve(),
    )


def _lines(log: Path, start: int) -> Iterator[bytes]:
    if log.exists():
        with log.open("rb") as file:
            file.seek(start if log.stat().st_size >= start else 0)
            yield from file
