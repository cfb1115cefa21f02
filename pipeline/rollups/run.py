"""Rollups: stage (compute from one lake version), check, publish; one step at a time or all at once.

A job's lock is held while it reads and computes, and again while it publishes: two rollups of one job never overlap,
and whoever began later read the later state.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import psycopg

from pipeline.database import LockTakenError, advisory_lock, connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import Lake
from pipeline.provenance.record import record_run
from pipeline.refresh.user_state import UserSnapshot
from pipeline.rollups.computation import Computation
from pipeline.rollups.funnels import read_funnels
from pipeline.rollups.jobs import JOBS, Job, Window, job_named
from pipeline.rollups.publish import PublishedRollup, publish, publish_locked, verify
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
        return session.stage(wanted)


def roll_up(
    settings: Settings,
    database_url: str,
    jobs: Sequence[str],
    window: Window,
    as_of: datetime,
    *,
    users: UserSnapshot | None = None,
    wait: bool = True,
    say: Say = lambda text: None,
    step_done: StepDone = lambda done, total: None,
) -> list[PublishedRollup]:
    """Compute, check and publish jobs over one window and one lake version, each job in a transaction of its own.

    With `users`, the users state, the history is not read: the lake is read at the version that the state includes.
    Jobs run in the order of JOBS; the first failure ends the call, and what was published before it stays. `step_done`
    is told how many days of work are done, of how many. Raises what `stage` and `publish` raise.
    """
    wanted = [job_named(name) for name in JOBS if name in {job_named(job).name for job in jobs}]
    window.check(as_of)
    total = len(list(window.days())) * len(wanted)
    steps = iter(range(1, total + 1))
    with (
        _locked(database_url, wanted, wait, say),
        _session(
            settings, database_url, window, as_of, day_done=lambda: step_done(next(steps), total), users=users
        ) as session,
    ):
        return [publish_locked(database_url, session.stage(job)) for job in wanted]


@dataclass(frozen=True)
class _Session:
    """Jobs that share one window, one lake version and the work they have in common."""

    settings: Settings
    database_url: str
    window: Window
    as_of: datetime
    computation: Computation

    def stage(self, job: Job) -> StagedRollup:
        """Compute a job and keep its result; the caller holds its lock."""
        started = time.monotonic()
        with connect(self.database_url, application="tidemark-rollup", autocommit=True) as connection:
            remove_leftovers(self.settings, connection)
            run_id = open_run(connection, job, self.window, self.as_of)
            path = staged_path(self.settings, run_id)
            try:
                rows, facts = self.computation.compute(job)
                recording, parameters = self.computation.recording(job), self.computation.parameters(facts)
                record_run(connection, run_id, job, recording, rows, parameters=parameters)
                seconds = time.monotonic() - started
                staged = StagedRollup(run_id, job, self.window, self.as_of, seconds, facts, rows, path)
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
    with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
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
        yield _Session(settings, database_url, window, as_of, computation)


@contextmanager
def _locked(database_url: str, jobs: Sequence[Job], wait: bool, say: Say) -> Iterator[None]:
    """Hold the locks of jobs, taken in the order of JOBS so that two callers cannot wait for each other."""
    with (
        connect(database_url, application="tidemark-rollup-lock", autocommit=True) as connection,
        ExitStack() as stack,
    ):
        for job in jobs:
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
