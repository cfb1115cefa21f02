"""The rollup jobs, and the windows of UTC days they compute.

JOBS publish a table each, and are what `rollup` and `backfill` run. REFRESH_JOBS are these and parts of them: a refresh
computes a part for days of which the rest cannot have changed. Owns names, limits and the rules of validity in time
(contract: docs/guides/metrics.md). Computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline.clock import day_start
from pipeline.database import AdvisoryLock

VALID_AGE = timedelta(days=180)
VALID_AHEAD = timedelta(minutes=5)
MAXIMUM_WINDOW_DAYS = 180
DEFAULT_WINDOW_DAYS = 14
DEFAULT_STRETCH_DAYS = 30  # of a backfill: what is lost when it is interrupted
LONGEST_FOLLOW_UP = timedelta(days=7)
RETENTION_DAYS = (1, 3, 7, 14, 30)


class WindowError(Exception):
    """These days cannot be rolled up."""


class UnknownJobError(Exception):
    """No rollup job has this name."""


@dataclass(frozen=True)
class Window:
    """UTC days from `first` to `last`, both included: all of them, or only those `chosen` (ascending)."""

    first: date
    last: date
    chosen: tuple[date, ...] | None = None

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise WindowError(f"the first day, {self.first}, is after the last day, {self.last}")

    @classmethod
    def of(cls, days: Iterable[date]) -> Window:
        """Return the window of exactly these days, of which there must be one at least."""
        chosen = tuple(sorted(set(days)))
        unbroken = (chosen[-1] - chosen[0]).days + 1 == len(chosen)
        return cls(chosen[0], chosen[-1], None if unbroken else chosen)

    @classmethod
    def ending(cls, as_of: datetime, days: int) -> Window:
        """Return the window of `days` days that ends with the UTC day of `as_of`. Raises WindowError."""
        if not 1 <= days <= MAXIMUM_WINDOW_DAYS:
            raise WindowError(f"a window has 1 to {MAXIMUM_WINDOW_DAYS} days, not {days}")
        last = as_of.astimezone(UTC).date()
        return cls(last - timedelta(days=days - 1), last)

    @property
    def start(self) -> datetime:
        """00:00 UTC of the first day."""
        return day_start(self.first)

    @property
    def end(self) -> datetime:
        """00:00 UTC of the day after the last: exclusive."""
        return day_start(self.last + timedelta(days=1))

    def days(self) -> Iterator[date]:
        """Yield the days, ascending."""
        if self.chosen is not None:
            yield from self.chosen
            return
        for number in range((self.last - self.first).days + 1):
            yield self.first + timedelta(days=number)

    def stretches(self) -> Iterator[Window]:
        """Yield the unbroken windows that hold exactly these days, ascending."""
        days = iter(self.days())
        first = last = next(days)
        for day in days:
            if day != last + timedelta(days=1):
                yield Window(first, last)
                first = day
            last = day
        yield Window(first, last)

    def check(self, as_of: datetime) -> None:
        """Refuse days whose events are no longer, or not yet, all valid at `as_of`.

        Recomputed, such days would lose numbers that were right when they were published. Raises WindowError.
        """
        today, oldest = as_of.astimezone(UTC).date(), first_computable_day(as_of)
        if self.first < oldest:
            raise WindowError(
                f"{self.first} is too old: as of {today}, events count for {MAXIMUM_WINDOW_DAYS} days, so {oldest} is"
                " the first day that can be computed; give an earlier as-of time to compute older days"
            )
        if self.last > today:
            raise WindowError(f"{self.last} has not begun: as of {today}, that is the last day that can be computed")


def first_computable_day(as_of: datetime) -> date:
    """Return the first UTC day all of whose events are valid at `as_of`."""
    return as_of.astimezone(UTC).date() - timedelta(days=MAXIMUM_WINDOW_DAYS - 1)


@dataclass(frozen=True)
class Job:
    """A rollup job: its name in commands, its name in rollup_runs, the table it publishes, its lock, its statements.

    `columns` are the table's columns without run_id, in the order of the staged result; `key` identifies a row.
    `reads_variants`: its numbers depend on which experiments run, with which variants. `reads_funnels`: on the
    configured funnels. `from_state`: with the users state it reads no event. `metrics`: it publishes only the rows with
    these names of its table, and is a part of the job that publishes all of it; empty: all rows.
    """

    name: str
    run_name: str
    table: str
    lock: AdvisoryLock
    columns: tuple[str, ...]
    key: tuple[str, ...]
    statements: tuple[str, ...]
    reads_variants: bool = False
    reads_funnels: bool = False
    from_state: bool = False
    metrics: tuple[str, ...] = ()

    @property
    def result(self) -> str:
        """The statement that gives its rows."""
        return f"rollups/{self.name if self.metrics else self.table}"

    @property
    def deletion(self) -> str:
        """The statement that deletes the rows of some days that its own replace."""
        return f"publish/{self.name if self.metrics else self.table}_delete"


NEW_USER_STATEMENTS = ("rollups/new_users", "rollups/new_users_of_state")
ASSIGNMENT_STATEMENTS = (
    "rollups/read_running_variants",
    "rollups/read_assignments",
    "rollups/read_wanted_assignments",
    "rollups/new_user_assignments",
)

_ALL = (
    Job(
        name="daily",
        run_name="daily_metrics_rollup",
        table="daily_metric_rollups",
        lock=AdvisoryLock.ROLLUP_DAILY,
        columns=("tenant_id", "day", "metric_name", "dimension_key", "value", "dimensions"),
        key=("tenant_id", "day", "metric_name", "dimension_key"),
        statements=(
            "rollups/count_ignored_events",
            *NEW_USER_STATEMENTS,
            "rollups/create_daily_activity",
            "rollups/daily_activity",
            "rollups/create_event_volume",
            "rollups/event_volume",
            "rollups/cohort_metrics",
            "rollups/daily_metric_rollups",
        ),
    ),
    Job(
        name="daily_cohorts",
        run_name="daily_cohorts_rollup",
        table="daily_metric_rollups",
        lock=AdvisoryLock.ROLLUP_DAILY,
        columns=("tenant_id", "day", "metric_name", "dimension_key", "value", "dimensions"),
        key=("tenant_id", "day", "metric_name", "dimension_key"),
        statements=(*NEW_USER_STATEMENTS, "rollups/cohort_metrics", "rollups/daily_cohorts"),
        from_state=True,
        metrics=("new_users", "logging_rate_24h"),
    ),
    Job(
        name="experiment",
        run_name="experiment_metrics_rollup",
        table="experiment_metric_rollups",
        lock=AdvisoryLock.ROLLUP_EXPERIMENT,
        columns=("tenant_id", "day", "experiment_id", "variant_id", "metric_name", "value", "dimensions"),
        key=("tenant_id", "day", "experiment_id", "variant_id", "metric_name"),
        statements=(
            "rollups/count_ignored_events",
            *NEW_USER_STATEMENTS,
            "rollups/new_user_activity",
            *ASSIGNMENT_STATEMENTS,
            "rollups/assigned_users",
            "rollups/assigned_users_of_counts",
            "rollups/experiment_metric_rollups",
        ),
        reads_variants=True,
        from_state=True,
    ),
    Job(
        name="funnel",
        run_name="funnel_rollup",
        table="funnel_rollups",
        lock=AdvisoryLock.ROLLUP_FUNNEL,
        columns=(
            "tenant_id", "day", "funnel_name", "step_name", "dimension_key", "experiment_id", "variant_id",
            "users_count", "events_count",
        ),
        key=("tenant_id", "day", "funnel_name", "step_name", "dimension_key"),
        statements=(
            "rollups/count_ignored_events",
            "rollups/create_funnel_activity",
            "rollups/funnel_activity",
            "rollups/funnel_rollups",
        ),
        reads_funnels=True,
    ),
    Job(
        name="funnel_cohort",
        run_name="funnel_cohort_rollup",
        table="funnel_cohort_rollups",
        lock=AdvisoryLock.ROLLUP_FUNNEL_COHORT,
        columns=(
            "tenant_id", "day", "funnel_name", "step_name", "dimension_key", "step_number", "experiment_id",
            "variant_id", "users_count", "median_seconds", "window_seconds", "complete_at",
        ),
        key=("tenant_id", "day", "funnel_name", "step_name", "dimension_key"),
        statements=(
            "rollups/count_ignored_events",
            "rollups/create_funnel_cohorts",
            "rollups/create_funnel_stamps",
            "rollups/create_funnel_variants",
            "rollups/create_funnel_audiences",
            "rollups/create_funnel_reached",
            "rollups/funnel_people",
            "rollups/funnel_ambiguous_people",
            "rollups/funnel_entered",
            "rollups/funnel_followed",
            "rollups/funnel_stamps",
            "rollups/funnel_variants",
            "rollups/funnel_dimensions",
            "rollups/funnel_audiences",
            "rollups/create_funnel_chains",
            "rollups/funnel_chains",
            "rollups/funnel_reached",
            "rollups/funnel_cohorts",
            "rollups/funnel_cohort_rollups",
        ),
        reads_funnels=True,
    ),
    Job(
        name="retention",
        run_name="retention_rollup",
        table="retention_rollups",
        lock=AdvisoryLock.ROLLUP_RETENTION,
        columns=(
            "tenant_id", "day", "days_after", "dimension_key", "experiment_id", "variant_id", "cohort_size",
            "retained_users", "complete_at",
        ),
        key=("tenant_id", "day", "days_after", "dimension_key"),
        statements=(
            "rollups/count_ignored_events",
            *NEW_USER_STATEMENTS,
            "rollups/retention_periods",
            "rollups/create_user_days",
            "rollups/user_days",
            *ASSIGNMENT_STATEMENTS,
            "rollups/retention_members",
            "rollups/retention_cohorts",
            "rollups/retention_cohorts_of_state",
            "rollups/retention_rollups",
        ),
        reads_variants=True,
        from_state=True,
    ),
)  # fmt: skip
_BY_NAME = {job.name: job for job in _ALL}
REFRESH_JOBS = tuple(_BY_NAME)
JOBS = tuple(job.name for job in _ALL if not job.metrics)


def job_of_run(run_name: str) -> Job:
    """Return the job that rollup_runs calls by this name. Raises UnknownJobError."""
    for job in _ALL:
        if job.run_name == run_name:
            return job
    raise UnknownJobError(f"no rollup job's runs are called {run_name!r}")


def job_named(name: str) -> Job:
    """Return the job with this name (one of REFRESH_JOBS). Raises UnknownJobError."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownJobError(f"no rollup job is called {name!r}; the jobs are {', '.join(JOBS)}") from None


def writers(table: str) -> tuple[Job, ...]:
    """Return the jobs that publish rows of a table."""
    return tuple(job for job in _ALL if job.table == table)


def covered_by(job: Job) -> tuple[Job, ...]:
    """Return the jobs whose rows of a day a run of this job publishes too: itself, and those that are a part of it."""
    return tuple(
        other
        for other in writers(job.table)
        if not job.metrics or (other.metrics and set(other.metrics) <= set(job.metrics))
    )
