"""Backfills: many days computed in stretches, each published as it is done; killed, they go on where they were.

What is done is what `rollup_runs` says was published since the backfill began: there is no second account that could
differ. Only the moment it began is kept, in a file of this installation, until every day is published.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

import psycopg

from pipeline.database import connect
from pipeline.rollups.jobs import DEFAULT_STRETCH_DAYS, JOBS, Window, job_named
from pipeline.rollups.publish import PublishedRollup
from pipeline.rollups.run import RollupBusyError, Say, roll_up
from pipeline.settings import Settings
from pipeline.statements import statement

DaysDone = Callable[[int, int], None]


@dataclass(frozen=True)
class DayFailure:
    """A UTC day that a job could not publish, and why; what was published for it before is still there."""

    day: date
    job: str
    error: str

    def __str__(self) -> str:
        return f"{self.day} {self.job}: {self.error}"


@dataclass(frozen=True)
class BackfillResult:
    """What a backfill did: an earlier, interrupted call had published `resumed` days; `failures` were not published."""

    window: Window
    resumed: int
    published: tuple[PublishedRollup, ...]
    failures: tuple[DayFailure, ...]


@dataclass(frozen=True)
class _Begun:
    """The record of an unfinished backfill: when it began by the database's clock, and the as-of time asked for."""

    path: Path
    at: datetime
    as_of: datetime | None

    def write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        note = {"begun_at": self.at.isoformat(), "as_of": None if self.as_of is None else self.as_of.isoformat()}
        unfinished.write_text(json.dumps(note) + "\n", encoding="utf-8")
        unfinished.replace(self.path)


def is_unfinished(settings: Settings, window: Window, as_of: datetime | None) -> bool:
    """Say whether a backfill of these days was begun here, with the same as-of time, and has not ended."""
    return _begun(settings, window, as_of) is not None


def backfill(
    settings: Settings,
    database_url: str,
    window: Window,
    now: datetime,
    *,
    as_of: datetime | None = None,
    restart: bool = False,
    stretch_days: int = DEFAULT_STRETCH_DAYS,
    wait: bool = True,
    say: Say = lambda text: None,
    days_done: DaysDone = lambda done, total: None,
) -> BackfillResult:
    """Compute and publish every job over the days of a window, `stretch_days` at a time, from the lake as it is.

    `as_of` stands in for `now` in the rules of validity. Days that an interrupted call for the same window has
    published are left out, unless `restart`. A stretch that fails is halved until the days that fail stand alone; they
    are reported and the others published. Raises what ends every attempt alike: WindowError for days that cannot be
    computed, RollupBusyError (without `wait`), psycopg.OperationalError when the database is away, OSError when the
    disk is full; called again, the backfill goes on.
    """
    begun = None if restart else _begun(settings, window, as_of)
    if begun is None:
        window.check(as_of or now)
        begun = _begin(settings, database_url, window, as_of)
    work = _Work(settings, database_url, window, as_of or now, begun, wait, say, days_done)
    resumed = work.count_done()
    if resumed:
        say(f"going on with the backfill begun at {begun.at:%Y-%m-%d %H:%M} UTC: {resumed} days are published")
    for days, jobs in _stretches(work.missing(), stretch_days):
        work.attempt(days, jobs)
    if not work.failures:
        begun.path.unlink(missing_ok=True)
    return BackfillResult(window, resumed, tuple(work.published), tuple(work.failures))


@dataclass
class _Work:
    """A backfill under way."""

    settings: Settings
    database_url: str
    window: Window
    as_of: datetime
    begun: _Begun
    wait: bool
    say: Say
    days_done: DaysDone
    published: list[PublishedRollup] = field(default_factory=list)
    failures: list[DayFailure] = field(default_factory=list)

    def missing(self) -> dict[date, tuple[str, ...]]:
        """Return the days that are not done, ascending, and the jobs that each still lacks, in the order of JOBS."""
        done = self._done()
        missing = {
            day: tuple(job for job in JOBS if day not in done[job_named(job).run_name]) for day in self.window.days()
        }
        return {day: jobs for day, jobs in missing.items() if jobs}

    def count_done(self) -> int:
        """Return the number of days that every job has published."""
        return len(list(self.window.days())) - len(self.missing())

    def attempt(self, days: Sequence[date], jobs: Sequence[str]) -> None:
        """Publish jobs for some days; on failure by halves, and a single day job by job."""
        total, base = len(list(self.window.days())), self.count_done()
        self.days_done(base, total)
        try:
            self.published += roll_up(
                self.settings, self.database_url, jobs, Window.of(days), self.as_of, wait=self.wait, say=self.say,
                step_done=lambda done, _: self.days_done(min(base + done // len(jobs), total), total),
            )  # fmt: skip
        except Exception as error:
            if _ends_everything(error):
                raise
            if len(days) == 1 and len(jobs) == 1:
                failure = DayFailure(days[0], jobs[0], f"{type(error).__name__}: {error}".splitlines()[0])
                self.failures.append(failure)
                self.say(f"failed: {failure}")
                return
            self._attempt_parts(days, jobs)

    def _attempt_parts(self, days: Sequence[date], jobs: Sequence[str]) -> None:
        """Attempt what is still missing: one of the jobs may have been published before another failed."""
        half = len(days) // 2
        missing = self.missing()
        for part in (days[:half], days[half:]) if half else (days,):
            for some, lacking in _stretches({day: missing[day] for day in part if day in missing}, len(part)):
                wanted = [job for job in jobs if job in lacking]
                for group in [[job] for job in wanted] if len(some) == 1 else [wanted]:
                    self.attempt(some, group)

    def _done(self) -> Mapping[str, set[date]]:
        done: defaultdict[str, set[date]] = defaultdict(set)
        scope = {
            "since": self.begun.at, "as_of": self.begun.as_of,
            "first_day": self.window.first, "last_day": self.window.last,
        }  # fmt: skip
        with connect(self.database_url, application="tidemark-backfill") as connection:
            for job_name, day in connection.execute(statement("backfill/find_published_days"), scope):
                done[job_name].add(day)
        return done


def _stretches(
    missing: Mapping[date, tuple[str, ...]], longest: int
) -> Iterator[tuple[tuple[date, ...], tuple[str, ...]]]:
    """Cut days into runs of neighbours that lack the same jobs, `longest` days at most."""
    stretch: list[date] = []
    for day, jobs in missing.items():
        if stretch and (len(stretch) == longest or jobs != missing[stretch[-1]] or (day - stretch[-1]).days > 1):
            yield tuple(stretch), missing[stretch[-1]]
            stretch = []
        stretch.append(day)
    if stretch:
        yield tuple(stretch), missing[stretch[-1]]


def _ends_everything(error: Exception) -> bool:
    """Say whether an error is not about the days at hand: no part of them would fare better."""
    if isinstance(error, OSError):
        return error.errno is not None
    return isinstance(error, (RollupBusyError, psycopg.OperationalError, psycopg.InterfaceError))


def _begin(settings: Settings, database_url: str, window: Window, as_of: datetime | None) -> _Begun:
    with connect(database_url, application="tidemark-backfill") as connection:
        row = connection.execute(statement("backfill/read_clock")).fetchone()
    if row is None:
        raise RuntimeError("the database told no time")
    begun = _Begun(_path(settings, window), row[0], as_of)
    begun.write()
    return begun


def _begun(settings: Settings, window: Window, as_of: datetime | None) -> _Begun | None:
    path = _path(settings, window)
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        at, asked = datetime.fromisoformat(note["begun_at"]), note["as_of"]
    except (FileNotFoundError, ValueError, KeyError):
        return None
    begun = _Begun(path, at, None if asked is None else datetime.fromisoformat(asked))
    return begun if begun.as_of == as_of else None


def _path(settings: Settings, window: Window) -> Path:
    return settings.backfills / f"{window.first}_{window.last}.json"
