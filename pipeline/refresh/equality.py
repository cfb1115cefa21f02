"""Equality: every published number against a full recompute, from the events alone, at the refresh's own moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from psycopg.rows import dict_row

from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import Lake, LakeError
from pipeline.provenance.result_digest import Row, first_difference, plain, rows_of
from pipeline.refresh import stale_days
from pipeline.refresh.user_state import UserState
from pipeline.rollups.computation import Computation
from pipeline.rollups.funnels import read_funnels
from pipeline.rollups.jobs import JOBS, Job, Window, covered_by, first_computable_day, job_named
from pipeline.settings import Settings
from pipeline.statements import statement


@dataclass(frozen=True)
class Comparison:
    """A job's published rows of all days that can be computed, against a full recompute as of the last refresh.

    `problem` names the first difference, or says why there is nothing to compare; None when all is equal.
    """

    job: str
    rows: int
    as_of: datetime | None
    lake_version: int | None
    problem: str | None

    def __str__(self) -> str:
        return f"{self.job}: {self.problem or 'equal'}"


def compare_all(
    settings: Settings, database_url: str, *, job_done: Callable[[], None] = lambda: None
) -> list[Comparison]:
    """Compare each job's published rows with a full recompute; changes nothing, and waits for a refresh to end.

    Raises psycopg.Error, duckdb.Error.
    """
    lake = Lake(settings.lake)
    users = UserState(lake).snapshot()
    if users is None:
        return [Comparison(job, 0, None, None, "never refreshed; run `refresh`") for job in JOBS]
    window = Window(first_computable_day(users.as_of), users.as_of.astimezone(UTC).date())
    version = users.events_version if users.events_version >= 0 else None
    found = []
    with (
        connect(database_url, application="tidemark-check", autocommit=True) as lock,
        advisory_lock(lock, AdvisoryLock.REFRESH),
        connect(database_url, application="tidemark-check", autocommit=True) as connection,
        scratch_folder(settings) as scratch,
        duckdb_engine(settings, scratch) as engine,
    ):
        stale = stale_days.read(connection, window)
        computation = Computation(
            engine, database_url, lake, window, users.as_of,
            scratch=scratch, lake_version=version, funnels=read_funnels(settings.funnels),
        )  # fmt: skip
        for name in JOBS:
            job = job_named(name)
            published = _published(connection, job, window)
            due = sorted({day for part in covered_by(job) for day in stale.get(part.name, ())})
            if due:
                problem: str | None = f"{len(due)} days are stale, {due[0]} first; run `refresh`"
            else:
                problem = _difference(computation, job, published)
            found.append(Comparison(name, len(published), users.as_of, version, problem))
            job_done()
    return found


def _difference(computation: Computation, job: Job, published: list[Row]) -> str | None:
    try:
        rows, _ = computation.compute(job)
    except LakeError as error:
        return f"cannot be computed again: {error}"
    return first_difference(job.key, rows_of(job.columns, rows), published)


def _published(connection: psycopg.Connection, job: Job, window: Window) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement(f"checks/read_{job.table}"), {"days": list(window.days())}).fetchall()
    return [plain(row) for row in rows]
