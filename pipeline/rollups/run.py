"""Rollups: stage (compute from one lake version), check, publish; one step at a time or all at once.

A job's lock is held while it reads and computes, and again while it publishes: two rollups of one job never overlap,
and whoever began later read the later state. Jobs that run together share one engine, one lake version and the work
that several need; each table is published in a transaction of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

import psycopg

from pipeline.database import LockTakenError, advisory_lock, connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import Lake
from pipeline.provenance.record import record_run
from pipeline.refresh.user_state import UserSnapshot
from pipeline.rollups.computation import Computation
from pipeline.rollups.funnels import read_funnels
from pipeline.rollups.jobs import JOBS, REFRESH_JOBS, Job, Window, job_named
from pipeline.rollups.publish import PublishedRollup, give_up, publish, publish_together, verify
from pipeline.rollups.runs import fail_run, mark_staged, open_run
from pipeline.rollups.staging import StagedRollup, load_staged, remove_leftovers, staged_path
from pipeline.settings import Settings

__all__ = ["JOBS", "Window", "load_staged", "publish", "roll_up", "stage", "verify"]

Say = Callable[[str], None]
StepDone = Callable[[int, int], None]


class RollupBusyError(Exception):
    """Another rollup of the same job is running, and the caller chose not to wait."""


def stage(
    settings: Settings,
    database_url: str,
    job: str,
    window: Window,
    as_of: datetime,
    *,
    wait: bool = True,
    say: Say = lambda text: None,
) -> StagedRollup:
    """Compute one job from the lake's newest version and keep the result until it is published.

    `as_of` (aware) stands in for now in the rules of validity. `say` is told when another rollup has to end first.
    Raises WindowError, UnknownJobError, RollupBusyError; a failure after the run began is recorded in rollup_runs.
    """
    wanted = job_named(job)
    window.check(as_of)
    with (
        _locked(database_url, [wanted], wait, say),
        _session(settings, database_url, window, as_of) as session,
    ):
        return session.stage(wanted, window)


def roll_up(
    settings: Settings,
    database_url: str,
    jobs: Sequence[str],
    window: Window,
    as_of: datetime,
    *,
    wait: bool = True,
    say: Say = lambda text: None,
    step_done: StepDone = lambda done, total: None,
) -> list[PublishedRollup]:
    """Compute, check and publish jobs over one window and one lake version, each job in a transaction of its own.

    Jobs run in the order of JOBS; the first failure ends the call, and what was published before it stays. `step_done`
    is told how many days of work are done, of how many. Raises what `stage` and `publish` raise.
    """
    windows = {job_named(job).name: window for job in jobs}
    published = roll_up_days(settings, database_url, windows, as_of, wait=wait, say=say, step_done=step_done)
    return list(published.values())


def roll_up_days(
    settings: Settings,
    database_url: str,
    windows: Mapping[str, Window],
    as_of: datetime,
    *,
    users: UserSnapshot | None = None,
    wait: bool = True,
    say: Say = lambda text: None,
    step_done: StepDone = lambda done, total: None,
) -> dict[str, PublishedRollup]:
    """Do what `roll_up` does, for each job (of REFRESH_JOBS) over days of its own; return the publications by job.

    Jobs that write to one table are published together.
    With `users`, the users state, the history is not read: the lake is read at the version that the state includes.
    """
    jobs = [job_named(name) for name in REFRESH_JOBS if name in {job_named(name).name for name in windows}]
    for window in windows.values():
        window.check(as_of)
    if not jobs:
        return {}
    total = sum(len(list(windows[job.name].days())) for job in jobs)
    steps = iter(range(1, total + 1))
    all_days = Window.of(day for window in windows.values() for day in window.days())
    with (
        _locked(database_url, jobs, wait, say),
        _session(
            settings, database_url, all_days, as_of, day_done=lambda: step_done(next(steps), total), users=users
        ) as session,
    ):
        published: dict[str, PublishedRollup] = {}
        for _, writers in groupby(jobs, key=lambda job: job.table):
            published |= session.publish({job: windows[job.name] for job in writers})
        return published


@dataclass
class _Session:
    """Jobs that share one lake version, one connection and the work they have in common."""

    settings: Settings
    database_url: str
    connection: psycopg.Connection
    as_of: datetime
    computation: Computation
    read_at: datetime | None = field(default=None, init=False)

    def stage(self, job: Job, window: Window) -> StagedRollup:
        """Compute a job and keep its result; the caller holds its lock."""
        started = time.monotonic()
        connection = self.connection
        remove_leftovers(self.settings, connection)
        run_id, started_at = open_run(connection, job, window, self.as_of)
        self.read_at = self.read_at or started_at
        path = staged_path(self.settings, run_id)
        try:
            rows, facts = self.computation.compute(job, window)
            recording, parameters = self.computation.recording(job), self.computation.parameters(facts)
            record_run(connection, run_id, job, recording, rows, parameters=parameters)
            seconds = time.monotonic() - started
            staged = StagedRollup(run_id, job, window, self.as_of, self.read_at, seconds, facts, rows, path)
            staged.write()
            mark_staged(
                connection,
                run_id,
                lake_version=facts.lake_version,
                ignored_count=facts.ignored_count,
                seconds=seconds,
            )
        except BaseException as error:
            path.unlink(missing_ok=True)
            with suppress(psycopg.Error):  # the database is away: the next run of this job ends this one
                fail_run(connection, run_id, f"{type(error).__name__}: {error}")
            raise
        return staged

    def publish(self, windows: Mapping[Job, Window]) -> dict[str, PublishedRollup]:
        """Compute jobs that write to one table, and publish them in one transaction: its readers see no mix of them."""
        staged: list[StagedRollup] = []
        try:
            for job, window in windows.items():
                staged.append(self.stage(job, window))
        except BaseException as error:
            give_up(self.database_url, staged, error)
            raise
        published = publish_together(self.database_url, self.connection, staged)
        return {job.name: done for job, done in zip(windows, published, strict=True)}


@contextmanager
def _session(
    settings: Settings,
    database_url: str,
    window: Window,
    as_of: datetime,
    *,
    day_done: Callable[[], None] = lambda: None,
    users: UserSnapshot | None = None,
) -> Iterator[_Session]:
    with (
        connect(database_url, application="tidemark-rollup", autocommit=True) as connection,
        scratch_folder(settings) as scratch,
        duckdb_engine(settings, scratch) as engine,
    ):
        computation = Computation(
            engine,
            database_url,
            Lake(settings.lake),
            window,
            as_of,
            scratch=scratch,
            day_done=day_done,
            users=users,
            funnels=read_funnels(settings.funnels),
            lake_version=None if users is None or users.events_version < 0 else users.events_version,
        )
        yield _Session(settings, database_url, connection, as_of, computation)


@contextmanager
def _locked(database_url: str, jobs: Sequence[Job], wait: bool, say: Say) -> Iterator[None]:
    """Hold the locks of jobs, taken in the order of JOBS so that two callers cannot wait for each other."""
    with (
        connect(database_url, application="tidemark-rollup-lock", autocommit=True) as connection,
        ExitStack() as stack,
    ):
        for job in _one_of_each_lock(jobs):
            try:
                stack.enter_context(advisory_lock(connection, job.lock, wait=False))
            except LockTakenError:
                if not wait:
                    raise RollupBusyError(
                        f"another {job.name} rollup is running; try again when it has ended"
                    ) from None
                say(f"waiting for another {job.name} rollup to end")
                stack.enter_context(advisory_lock(connection, job.lock))
        yield


def _one_of_each_lock(jobs: Sequence[Job]) -> list[Job]:
    """Leave out jobs that share their lock with one before."""
    return [job for number, job in enumerate(jobs) if job.lock not in {other.lock for other in jobs[:number]}]
