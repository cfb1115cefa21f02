"""The rollup jobs, and the windows of UTC days they compute.

Owns names, limits and the rules of validity in time (contract: docs/guides/metrics.md). Computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline.clock import day_start
from pipeline.database import AdvisoryLock

VALID_AGE = timedelta(days=180)
VALID_AHEAD = timedelta(minutes=5)
MAXIMUM_WINDOW_DAYS = 180
DEFAULT_WINDOW_DAYS = 14
LONGEST_FOLLOW_UP = timedelta(days=7)


class WindowError(Exception):
    """These days cannot be rolled up."""


class UnknownJobError(Exception):
    """No rollup job has this name."""


@dataclass(frozen=True)
class Window:
    """UTC days from `first` to `last`, both included."""

    first: date
    last: date

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise WindowError(f"the first day, {self.first}, is after the last day, {self.last}")

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
        for number in range((self.last - self.first).days + 1):
            yield self.first + timedelta(days=number)

    def check(self, as_of: datetime) -> None:
        """Refuse days whose events are no longer, or not yet, all valid at `as_of`.

        Recomputed, such days would lose numbers that were right when they were published. Raises WindowError.
        """
        today = as_of.astimezone(UTC).date()
        oldest = today - timedelta(days=MAXIMUM_WINDOW_DAYS - 1)
        if self.first < oldest:
            raise WindowError(
                f"{self.first} is too old: as of {today}, events count for {MAXIMUM_WINDOW_DAYS} days, so {oldest} is"
                " the first day that can be computed; give an earlier as-of time to compute older days"
            )
        if self.last > today:
            raise WindowError(f"{self.last} has not begun: as of {today}, that is the last day that can be computed")


@dataclass(frozen=True)
class Job:
    """A rollup job: its name in commands, its name in rollup_runs, the table it publishes, its lock, its statements.

    `columns` are the table's columns without run_id, in the order of the staged result; `key` identifies a row.
    """

    name: str
    run_name: str
    table: str
    lock: AdvisoryLock
    columns: tuple[str, ...]
    key: tuple[str, ...]
    statements: tuple[str, ...]


NEW_USER_STATEMENTS = ("rollups/new_users", "rollups/new_user_activity")

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
            "rollups/daily_metric_rollups",
        ),
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
            "rollups/read_running_variants",
            "rollups/read_assignments",
            "rollups/assigned_users",
            "rollups/experiment_metric_rollups",
        ),
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
            "rollups/funnel_steps",
            "rollups/create_funnel_activity",
            "rollups/funnel_activity",
            "rollups/funnel_rollups",
        ),
    ),
)  # fmt: skip
_BY_NAME = {job.name: job for job in _ALL}
JOBS = tuple(_BY_NAME)


def job_named(name: str) -> Job:
    """Return the job with this name (one of JOBS). Raises UnknownJobError."""
    try:
        return _BY_NAME[name]
    except KeyError:
        raise UnknownJobError(f"no rollup job is called {name!r}; the jobs are {', '.join(JOBS)}") from None
