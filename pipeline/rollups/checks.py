"""Checks of what is there already: lake against Postgres, published against computed again.

Each returns what it found, naming days; none changes anything. The whole chain from the ledger to the lake is in
`pipeline.ingestion.conservation`, the checks of a result before it is published are in `pipeline.rollups.verification`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from pipeline.clock import day_start
from pipeline.database import connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import Lake, LakeError, LakeSnapshot
from pipeline.provenance.result_digest import Row, first_difference, plain, rows_of
from pipeline.rollups.computation import END_OF_TIME, Computation
from pipeline.rollups.funnels import read_funnels
from pipeline.rollups.jobs import JOBS, Job, covered_by, job_named
from pipeline.rollups.runs import Run, latest_success, newest_success
from pipeline.settings import Settings
from pipeline.statements import statement

BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)
STALE_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Tally:
    """Events of one tenant and day: how many, and two sums over their ids that do not depend on order."""

    rows: int = 0
    id_sum: int = 0
    id_xor: int = 0


@dataclass(frozen=True)
class DayBalance:
    """One tenant's UTC day: exported events by Postgres and by the lake."""

    tenant_id: str
    day: date
    postgres: Tally
    lake: Tally

    @property
    def matches(self) -> bool:
        """Whether both hold the same events."""
        return self.postgres == self.lake

    def __str__(self) -> str:
        if self.postgres.rows != self.lake.rows:
            return (
                f"{self.day} of tenant {self.tenant_id}: {self.postgres.rows} exported events by Postgres,"
                f" {self.lake.rows} in the lake"
            )
        return f"{self.day} of tenant {self.tenant_id}: {self.lake.rows} events in both, but not the same ones"


@dataclass(frozen=True)
class Freshness:
    """A job's last publication; None where there is none."""

    job: str
    run_id: UUID | None
    finished_at: datetime | None
    newest_day: date | None
    fresh: bool

    def __str__(self) -> str:
        if self.newest_day is None:
            return f"{self.job}: never published; run `rollup`"
        return f"{self.job}: {self.newest_day} is the newest day published; run `rollup`"


@dataclass(frozen=True)
class Recomputation:
    """A job's last run computed again from the same lake version; `difference` names the first row that differs."""

    job: str
    run_id: UUID | None
    rows: int
    difference: str | None

    def __str__(self) -> str:
        return f"{self.job}: {self.difference}"


def lake_matches_postgres(
    settings: Settings,
    database_url: str,
    snapshot: LakeSnapshot | None,
    first: date | None = None,
    last: date | None = None,
) -> list[DayBalance]:
    """Compare, per tenant and day, the events below the lake's watermark with the lake's; days included, None is open.

    Catches a lost, doubled or exchanged event. A few days cost little: Postgres reads their part of the table alone.
    """
    watermark = 0 if snapshot is None or snapshot.exported_xid is None else snapshot.exported_xid
    scope = {
        "start": BEGINNING_OF_TIME if first is None else day_start(first),
        "end": END_OF_TIME if last is None else day_start(last + timedelta(days=1)),
        "watermark": watermark,
    }
    with connect(database_url, application="tidemark-check") as connection:
        rows = connection.execute(statement("checks/count_exported_events"), scope).fetchall()
    postgres = _tallies(rows)
    paths = [] if snapshot is None else snapshot.paths(first, last)
    lake: dict[tuple[str, date], Tally] = {}
    if paths:
        with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
            lake = _tallies(engine.execute(statement("checks/count_lake_events"), {"paths": paths}).fetchall())
    return [
        DayBalance(*key, postgres.get(key, Tally()), lake.get(key, Tally()))
        for key in sorted(postgres.keys() | lake.keys())
    ]


def freshness(database_url: str, now: datetime) -> list[Freshness]:
    """Return what each job published last; fresh means that yesterday, or a later day, is published."""
    with connect(database_url, application="tidemark-check") as connection:
        found = []
        for name in JOBS:
            run = newest_success(connection, job_named(name))
            day = None if run is None else (run.window_end - timedelta(days=1)).date()
            fresh = day is not None and day >= (now - STALE_AFTER).date()
            run_id, finished_at = (None, None) if run is None else (run.run_id, run.finished_at)
            found.append(Freshness(name, run_id, finished_at, day, fresh))
    return found


def recompute(settings: Settings, database_url: str, jobs: Sequence[str] = JOBS) -> list[Recomputation]:
    """Compute each job's last run again, as of its time and lake version, and compare with the rows it published.

    Assignments made since the run, and rows that a part of the job has published since, are left out. Experiments that
    were started, paused or changed since do differ: the published rows are then out of date, and a new rollup is the
    remedy.
    """
    found = []
    for name in jobs:
        job = job_named(name)
        with connect(database_url, application="tidemark-check") as connection:
            run = latest_success(connection, job)
            published = [] if run is None else _published(connection, job, run)
            replaced = set() if run is None else _replaced(connection, job, run, published)
        if run is None:
            found.append(Recomputation(name, None, 0, "never published; run `rollup`"))
            continue
        try:
            computed = _compute_again(settings, database_url, job, run)
        except LakeError as error:
            found.append(Recomputation(name, run.run_id, len(published), f"cannot be computed again: {error}"))
            continue
        computed, own = ([row for row in rows if _key(job, row) not in replaced] for rows in (computed, published))
        difference = first_difference(job.key, computed, own)
        remedy = None if difference is None else f"{difference}; a new rollup sets it right"
        found.append(Recomputation(name, run.run_id, len(published), remedy))
    return found


def _compute_again(settings: Settings, database_url: str, job: Job, run: Run) -> list[Row]:
    with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
        computation = Computation(
            engine,
            database_url,
            Lake(settings.lake),
            run.window,
            run.as_of,
            scratch=scratch,
            lake_version=run.lake_version,
            funnels=read_funnels(settings.funnels),
            assigned_before=run.started_at,
        )
        rows, _ = computation.compute(job)
    return rows_of(job.columns, rows)


def _published(connection: psycopg.Connection, job: Job, run: Run) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement(f"checks/read_{job.table}"), {"days": list(run.window.days())}).fetchall()
    return [plain(row) for row in rows]


def _replaced(connection: psycopg.Connection, job: Job, run: Run, published: Sequence[Row]) -> set[tuple[object, ...]]:
    """Return the keys of rows on the run's days that a run of a part of the job has published since."""
    if len(covered_by(job)) == 1:
        return set()
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(statement(f"provenance/read_{job.table}"), {"run_id": run.run_id}).fetchall()
    return {_key(job, row) for row in published} - {_key(job, row) for row in rows}


def _key(job: Job, row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in job.key)


def _tallies(rows: Sequence[tuple[Any, ...]]) -> dict[tuple[str, date], Tally]:
    return {(tenant, day): Tally(count, int(id_sum), int(id_xor)) for tenant, day, count, id_sum, id_xor in rows}
