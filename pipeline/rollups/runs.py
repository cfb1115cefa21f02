"""The history of rollups: one row of `rollup_runs` per run, RUNNING until it is SUCCESS or FAILED.

A run is *computing* (RUNNING without seconds), then *staged* (RUNNING with seconds), then over. A job's runs are opened
under its lock, so the order of started_at is the order in which they read the lake.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from pipeline.rollups.jobs import Job, Window
from pipeline.settings import REPOSITORY
from pipeline.statements import fingerprint, statement

ERROR_TEXT_LIMIT = 2_000


@dataclass(frozen=True)
class Run:
    """One row of rollup_runs; times are aware, `window_end` is exclusive, `seconds` is computing plus publishing.

    `days` are the UTC days computed, ascending; None means the whole window.
    """

    run_id: UUID
    job_name: str
    status: str
    window_start: datetime
    window_end: datetime
    days: list[date] | None
    as_of: datetime
    lake_version: int | None
    rows_written: int
    ignored_count: int
    seconds: float | None
    error_text: str | None
    started_at: datetime
    finished_at: datetime | None

    @property
    def window(self) -> Window:
        """The days that the run computed."""
        last = (self.window_end - timedelta(days=1)).date()
        return Window(self.window_start.date(), last, None if self.days is None else tuple(self.days))


def open_run(connection: psycopg.Connection, job: Job, window: Window, as_of: datetime) -> tuple[UUID, datetime]:
    """Record that a run begins, and that earlier runs of this job which were still computing were interrupted.

    Returns its id and the moment by the database's clock. The caller holds the job's lock: nobody else can be
    computing.
    """
    with connection.transaction():
        connection.execute(statement("publish/fail_interrupted_runs"), {"job_name": job.run_name})
        row = connection.execute(
            statement("publish/open_run"),
            {
                "job_name": job.run_name,
                "window_start": window.start,
                "window_end": window.end,
                "days": None if window.chosen is None else list(window.chosen),
                "as_of": as_of,
                "code_version": code_version(),
                "sql_sha256": fingerprint(*job.statements),
            },
        ).fetchone()
    if row is None:
        raise RuntimeError("rollup_runs took no row")
    return UUID(str(row[0])), row[1]


def mark_staged(
    connection: psycopg.Connection, run_id: UUID, *, lake_version: int | None, ignored_count: int, seconds: float
) -> None:
    """Record that a run's result is complete and waits for publication."""
    connection.execute(
        statement("publish/mark_run_staged"),
        {"run_id": run_id, "lake_version": lake_version, "ignored_count": ignored_count, "seconds": seconds},
    )


def fail_run(connection: psycopg.Connection, run_id: UUID, error_text: str) -> None:
    """Record that a run failed and why; a run that is over stays as it is."""
    connection.execute(
        statement("publish/fail_run"), {"run_id": run_id, "error_text": error_text.strip()[:ERROR_TEXT_LIMIT]}
    )


def find_run(connection: psycopg.Connection, run_id: UUID) -> Run | None:
    """Return a run, or None when there is none with this id."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(statement("publish/find_run"), {"run_id": run_id}).fetchone()


def latest_success(connection: psycopg.Connection, job: Job) -> Run | None:
    """Return the run of a job that published last, or None when none has yet."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(statement("publish/find_latest_success"), {"job_name": job.run_name}).fetchone()


def newest_success(connection: psycopg.Connection, job: Job) -> Run | None:
    """Return the run of a job that published the newest day, or None when none has published yet."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        return cursor.execute(statement("publish/find_newest_success"), {"job_name": job.run_name}).fetchone()


@cache
def code_version() -> str:
    """Return the version of this code, as pyproject.toml names it."""
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])
