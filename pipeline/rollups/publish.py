"""Publication: a staged rollup replaces its window of the published table in one transaction, or nothing changes.

Only a result that passes its checks is published, and never over one that was computed from a later state.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from pipeline.database import advisory_lock, connect
from pipeline.rollups.jobs import covered_by, first_computable_day, writers
from pipeline.rollups.runs import Run, fail_run
from pipeline.rollups.staging import StagedRollup
from pipeline.rollups.verification import findings
from pipeline.statements import statement


class UnfitRollupError(Exception):
    """The staged result breaks a rule; it was not published, and its run is FAILED."""


class OutdatedRollupError(Exception):
    """The run is over, or a run that began later has published some of the same days; nothing was changed."""


@dataclass(frozen=True)
class PublishedRollup:
    """What a run published; `seconds` is computing plus publishing."""

    run_id: UUID
    job_name: str
    rows_written: int
    ignored_count: int
    lake_version: int | None
    seconds: float


def verify(database_url: str, staged: StagedRollup) -> tuple[str, ...]:
    """Check a staged result; return what is wrong with it, one sentence each, empty when it may be published.

    With findings the run becomes FAILED with them as its error, and the staged result is removed.
    """
    found = findings(staged)
    if found:
        with connect(database_url, application="tidemark-publish", autocommit=True) as connection:
            fail_run(connection, staged.run_id, f"checks failed: {'; '.join(found)}")
        staged.discard()
    return found


def publish(database_url: str, staged: StagedRollup) -> PublishedRollup:
    """Check and publish a staged result, waiting for the job's lock; idempotent per run.

    Raises UnfitRollupError or OutdatedRollupError; on any error the published rows stay as they were.
    """
    with (
        connect(database_url, application="tidemark-publish-lock", autocommit=True) as lock,
        advisory_lock(lock, staged.job.lock),
    ):
        return publish_locked(database_url, staged)


def publish_locked(database_url: str, staged: StagedRollup) -> PublishedRollup:
    """Do what `publish` does, for a caller that holds the job's lock."""
    with connect(database_url, application="tidemark-publish", autocommit=True) as connection:
        return publish_together(database_url, connection, [staged])[0]


def publish_together(
    database_url: str, connection: psycopg.Connection, staged: Sequence[StagedRollup]
) -> list[PublishedRollup]:
    """Check and publish results in one transaction over `connection`, which commits by itself: all of them or none.

    The caller holds their jobs' locks. Raises what `publish` raises.
    """
    started = time.monotonic()
    try:
        for rollup in staged:
            found = verify(database_url, rollup)
            if found:
                raise UnfitRollupError(f"{rollup.job.run_name} {rollup.run_id} was not published: {'; '.join(found)}")
        with connection.transaction():
            published = [_replace(connection, rollup, started) for rollup in staged]
    except BaseException as error:
        give_up(database_url, staged, error)
        raise
    for rollup in staged:
        rollup.discard()
    return published


def give_up(database_url: str, staged: Iterable[StagedRollup], error: BaseException) -> None:
    """Fail the runs of results that will not be published, and remove these; runs that are over stay as they are."""
    for rollup in staged:
        try:
            # A connection of its own: the one that published may be gone.
            with connect(database_url, application="tidemark-publish", autocommit=True) as connection:
                fail_run(connection, rollup.run_id, f"{type(error).__name__}: {error}")
        except psycopg.Error:
            return  # the database is away: the runs stay RUNNING, and later runs end them
        rollup.discard()


def _replace(connection: psycopg.Connection, staged: StagedRollup, started: float) -> PublishedRollup:
    run = _current(connection, staged)
    if run.status == "SUCCESS":  # a retry after the answer was lost
        return _published(run, run.rows_written, run.seconds)
    connection.execute(
        statement(staged.job.deletion),
        {"days": list(staged.window.days()), "metrics": list(staged.job.metrics)},
    )
    _insert(connection, staged)
    scope = {
        "run_id": run.run_id, "job_names": _writers(staged), "started_at": run.started_at,
        "window_start": run.window_start, "window_end": run.window_end, "days": run.days,
    }  # fmt: skip
    connection.execute(statement("publish/supersede_older_runs"), scope)
    connection.execute(
        statement("publish/clear_stale_days"),
        {
            "job_names": [job.name for job in covered_by(staged.job)],
            "days": list(staged.window.days()),
            "read_at": staged.read_at,
            "as_of": run.as_of,
            "first_day": first_computable_day(run.as_of),
        },
    )
    row = connection.execute(
        statement("publish/succeed_run"),
        {"run_id": run.run_id, "rows_written": staged.rows.num_rows, "seconds": time.monotonic() - started},
    ).fetchone()
    return _published(run, staged.rows.num_rows, None if row is None else row[0])


def _current(connection: psycopg.Connection, staged: StagedRollup) -> Run:
    """Return the run as recorded, locked, if it may be published or is published already."""
    with connection.cursor(row_factory=class_row(Run)) as cursor:
        run = cursor.execute(statement("publish/lock_run"), {"run_id": staged.run_id}).fetchone()
    if run is None:
        raise OutdatedRollupError(f"this database has no run {staged.run_id}")
    if run.status == "FAILED":
        raise OutdatedRollupError(f"run {run.run_id} can no longer be published: {run.error_text}")
    newer = connection.execute(
        statement("publish/find_newer_run"),
        {
            "job_names": _writers(staged), "started_at": run.started_at,
            "window_start": run.window_start, "window_end": run.window_end, "days": run.days,
        },
    ).fetchone()  # fmt: skip
    if newer is not None and run.status == "RUNNING":
        raise OutdatedRollupError(f"run {run.run_id} is out of date: run {newer[0]} began later and is published")
    return run


def _writers(staged: StagedRollup) -> list[str]:
    """Return what rollup_runs calls the jobs that write to the same table: of their runs the later one holds."""
    return [job.run_name for job in writers(staged.job.table)]


def _insert(connection: psycopg.Connection, staged: StagedRollup) -> None:
    columns = {name: staged.rows.column(name).to_pylist() for name in staged.job.columns}
    connection.execute(statement(f"publish/{staged.job.table}_insert"), {**columns, "run_id": staged.run_id})


def _published(run: Run, rows_written: int, seconds: float | None) -> PublishedRollup:
    return PublishedRollup(
        run.run_id, run.job_name, rows_written, run.ignored_count, run.lake_version, round(seconds or 0.0, 3)
    )
