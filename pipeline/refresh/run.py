"""Refresh: export what is new, then compute again exactly the published days whose numbers can have changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from pipeline.database import AdvisoryLock, LockTakenError, advisory_lock, connect
from pipeline.export.run import ExportResult, export
from pipeline.lake.table import Lake
from pipeline.refresh import stale_days
from pipeline.refresh.advance import advance
from pipeline.refresh.user_state import UserState
from pipeline.rollups.jobs import JOBS, Window, covered_by, first_computable_day, job_named
from pipeline.rollups.publish import PublishedRollup
from pipeline.rollups.run import roll_up_days
from pipeline.settings import Settings

Say = Callable[[str], None]
StepDone = Callable[[int, int], None]


class RefreshBusyError(Exception):
    """Another refresh is under way, and the caller chose not to wait."""


@dataclass(frozen=True)
class RefreshResult:
    """What a refresh did: rows exported, and per job the UTC days it computed and the run that published them.

    `why_rebuilt` says why the users state was made anew, None when it was only advanced. `seconds` are by phase.
    """

    exported_rows: int
    lake_version: int | None
    why_rebuilt: str | None
    days: Mapping[str, tuple[date, ...]]
    published: Mapping[str, PublishedRollup]
    seconds: Mapping[str, float]


def refresh(
    settings: Settings,
    database_url: str,
    as_of: datetime,
    *,
    full: bool = False,
    wait: bool = True,
    say: Say = lambda text: None,
    step_done: StepDone = lambda done, total: None,
) -> RefreshResult:
    """Bring every published table up to date as of `as_of` (aware); afterwards each equals a full recompute.

    Cost follows what is new; a moment before the last refresh's counts as that one. With `full`, everything that can be
    computed is, from the events themselves. One job after the other is published; a failure ends the call, and the days
    it left are stale still. `step_done` is told how many days of work are done, of how many. Raises RefreshBusyError,
    and what `export`, `advance` and `roll_up` raise.
    """
    lake = Lake(settings.lake)
    clock = _Phases()
    with connect(database_url, application="tidemark-refresh-lock", autocommit=True) as connection:
        try:
            lock = advisory_lock(connection, AdvisoryLock.REFRESH, wait=wait)
            with lock:
                exported = export(database_url, lake)
                clock.ended("export")
                as_of = as_of if full else _not_before_the_last(lake, as_of)
                advanced = advance(settings, database_url, lake, as_of, rebuild=full)
                clock.ended("state")
                window = Window(first_computable_day(as_of), as_of.astimezone(UTC).date())
                with connect(database_url, application="tidemark-refresh") as reading:
                    stale = _not_twice(stale_days.read(reading, window))
                published = roll_up_days(
                    settings, database_url, {job: Window.of(days) for job, days in stale.items()}, as_of,
                    users=None if full else advanced.users, say=say, step_done=step_done,
                )  # fmt: skip
                clock.ended("rollups")
        except LockTakenError as error:
            raise RefreshBusyError("another refresh is under way; try again when it has ended") from error
    return RefreshResult(exported.rows, exported.lake_version, advanced.why_rebuilt, stale, published, clock.seconds)


def _not_twice(stale: Mapping[str, tuple[date, ...]]) -> dict[str, tuple[date, ...]]:
    """Leave out a part's days that the job it is a part of publishes anyway."""
    whole = {part.name: set(stale.get(job, ())) for job in JOBS for part in covered_by(job_named(job))}
    left = {job: tuple(day for day in days if job in JOBS or day not in whole[job]) for job, days in stale.items()}
    return {job: days for job, days in left.items() if days}


def take_in(settings: Settings, database_url: str, as_of: datetime) -> ExportResult:
    """Export what is new and mark the days it makes stale, as `refresh` begins; computing them is left to others.

    Waits for a refresh that is under way. Raises what `export` and `advance` raise.
    """
    lake = Lake(settings.lake)
    with (
        connect(database_url, application="tidemark-refresh-lock", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.REFRESH),
    ):
        exported = export(database_url, lake)
        advance(settings, database_url, lake, _not_before_the_last(lake, as_of))
    return exported


def _not_before_the_last(lake: Lake, as_of: datetime) -> datetime:
    """Return `as_of`, or the last refresh's if later: it may have begun after the caller looked at the clock."""
    state = UserState(lake).snapshot()
    return as_of if state is None else max(as_of, state.as_of)


class _Phases:
    """Seconds by phase."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._since = time.monotonic()

    def ended(self, phase: str) -> None:
        now = time.monotonic()
        self.seconds[phase] = round(now - self._since, 3)
        self._since = now
