"""The computation of rollups: the statements of sql/rollups over the files of one lake version.

Work that several jobs need (who is new in the window, and what they did next) is done once per computation. What holds
state that cannot spill (medians, distinct counts) is done a few days at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.database import connect
from pipeline.export.arrow_transaction import arrow_transaction
from pipeline.lake.files import write_no_events
from pipeline.lake.table import Lake, LakeSnapshot, stretches
from pipeline.provenance.recording import Recorder, Recording
from pipeline.refresh.counted_assignments import read_counted_assignments, read_wanted_assignments
from pipeline.refresh.user_state import UserSnapshot, write_no_users
from pipeline.rollups.funnel_cohorts import FunnelCohorts
from pipeline.rollups.funnels import Funnels, read_funnels
from pipeline.rollups.jobs import LONGEST_FOLLOW_UP, RETENTION_DAYS, VALID_AGE, VALID_AHEAD, Job, Window
from pipeline.rollups.staging import InputFacts
from pipeline.settings import REPOSITORY
from pipeline.statements import statement

DayDone = Callable[[], None]
END_OF_TIME = datetime.max.replace(tzinfo=UTC)
DEFAULT_FUNNELS = REPOSITORY / "funnels.json"
# To read one of all assignments costs about a quarter of asking for those of one user.
ALL_ASSIGNMENTS_SHARE = 4
Variants = tuple[tuple[str, str, str], ...]


class Computation:
    """Computes jobs over days of one window of one lake version; results are the same for every job order.

    The lake is read at `lake_version`, by default its newest when the first job is computed; a lake without a table has
    no events. With `users`, the users state as of this version and moment, the history is not read: the state says who
    is new and what they did, and assignments are those counted. `assigned_before` leaves out assignments made at or
    after that moment, to compute a past run again. `funnels` are by default those of the repository.
    Not safe for use by several threads.
    """

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        database_url: str,
        lake: Lake,
        window: Window,
        as_of: datetime,
        *,
        scratch: Path,
        lake_version: int | None = None,
        users: UserSnapshot | None = None,
        funnels: Funnels | None = None,
        assigned_before: datetime = END_OF_TIME,
        day_done: DayDone = lambda: None,
    ) -> None:
        self._recorder = Recorder(engine)
        self._database_url = database_url
        self._lake = lake
        self._lake_version = lake_version
        self._users = users
        self._funnels = read_funnels(DEFAULT_FUNNELS) if funnels is None else funnels
        self._all_days = window
        self._window = window
        self._assigned_before = assigned_before
        self._day_done = day_done
        self._oldest = as_of - VALID_AGE
        self._newest = as_of + VALID_AHEAD
        self._ignored: dict[tuple[date, ...], tuple[int, int]] = {}
        self._users_asked_for: int | None = None
        self._no_events = write_no_events(scratch)
        self._no_users = write_no_users(scratch)

    def compute(self, job: Job, window: Window | None = None) -> tuple[pa.Table, InputFacts]:
        """Return a job's result, sorted by key, and what it was computed from.

        `window` are the days to compute, some of the computation's; by default all of them.
        """
        self._window = window or self._all_days
        tenants = self._tenants
        self._recorder.give("days", _days_table(self._window))
        variants = {
            "daily": self._daily, "daily_cohorts": self._daily_cohorts, "experiment": self._experiment,
            "funnel": self._funnel, "funnel_cohort": self._funnel_cohort, "retention": self._retention,
        }[job.name]()  # fmt: skip
        rows = self._recorder.read(job.result)
        facts = InputFacts(
            lake_version=None if self._snapshot is None else self._snapshot.version,
            lake_rows=self._rows_of(self._window.days()),
            ignored_count=self._count_ignored() if self._reads_events(job) else 0,
            tenants=tenants,
            variants=variants,
            funnel_steps=self._funnels.steps(ordered=job.name == "funnel_cohort") if job.reads_funnels else (),
        )
        return rows.select(list(job.columns)).sort_by([(column, "ascending") for column in job.key]), facts

    def recording(self, job: Job) -> Recording:
        """Return what was done for the job that was computed last."""
        also = {self._ignored[tuple(self._window.days())][1]} if self._reads_events(job) else set()
        if job.reads_variants and self._users_asked_for is not None:
            also.add(self._users_asked_for)
        return self._recorder.recording(job.result, also)

    def parameters(self, facts: InputFacts) -> dict[str, object]:
        """Return what a computation depends on beside its files, for the record of its run."""
        return {
            "first_day": self._window.first,
            "last_day": self._window.last,
            "days": None if self._window.chosen is None else list(self._window.chosen),
            "oldest": self._oldest,
            "newest": self._newest,
            "assigned_before": None if self._assigned_before == END_OF_TIME else self._assigned_before,
            "users_state": None if self._users is None else self._users.events_version,
            "tenants": list(facts.tenants),
            "funnels_sha256": self._funnels.sha256 if facts.funnel_steps else None,
            "running_variants": [list(variant) for variant in facts.variants],
        }

    def _daily(self) -> Variants:
        _ = self._new_users
        self._run("rollups/create_daily_activity")
        self._run("rollups/create_event_volume")
        for days in stretches(self._snapshot, self._window.days()):
            self._run("rollups/daily_activity", paths=self._paths_of(days), **self._validity)
            self._run("rollups/event_volume", paths=self._paths_of(days), **self._validity)
            self._done(days)
        self._run("rollups/cohort_metrics")
        return ()

    def _daily_cohorts(self) -> Variants:
        _ = self._new_users
        self._run("rollups/cohort_metrics")
        self._done(list(self._window.days()))
        return ()

    def _experiment(self) -> Variants:
        _ = self._new_users
        if self._users is None:
            _ = self._new_user_activity
            scope = {"window_start": self._window.start, "assigned_before": self._assigned_before}
            variants = self._with_all_assignments("rollups/assigned_users", **scope)
        else:
            variants = self._variants_of_new_users
            self._run("rollups/assigned_users_of_counts")
        self._done(list(self._window.days()))
        return variants

    def _retention(self) -> Variants:
        self._run("rollups/retention_periods")
        _ = self._new_users
        if self._users is None:
            self._run("rollups/create_user_days")
            wanted = {day + timedelta(days=after) for day in self._window.days() for after in RETENTION_DAYS}
            for days in stretches(self._snapshot, sorted(wanted)):
                self._run("rollups/user_days", paths=self._paths_of(days), **self._validity)
            variants = self._with_all_assignments("rollups/retention_members", assigned_before=self._assigned_before)
            self._run("rollups/retention_cohorts")
        else:
            variants = self._variants_of_new_users
            self._run("rollups/retention_cohorts_of_state")
        self._done(list(self._window.days()))
        return variants

    def _with_all_assignments(self, name: str, **parameters: object) -> Variants:
        """Run a statement that reads all assignments; return the running variants."""
        with arrow_transaction(self._database_url, application="tidemark-rollup") as transaction:
            variants = transaction.table("rollups/read_running_variants")
            self._recorder.give("variants", variants)
            source = "rollups/read_assignments"
            with transaction.query(source) as reader, self._recorder.giving("assignments", reader, source):
                self._run(name, **parameters)
        return _keys(variants)

    @cached_property
    def _variants_of_new_users(self) -> Variants:
        """Make new_user_assignments and assigned_counts; return the running variants."""
        counted = read_counted_assignments(self._database_url)
        self._recorder.give("variants", counted.variants)
        self._recorder.give("assigned_counts", counted.counts)
        if counted.users <= ALL_ASSIGNMENTS_SHARE * self._new_users:
            source = "rollups/read_assignments"
            with (
                arrow_transaction(self._database_url, application="tidemark-rollup") as transaction,
                transaction.query(source) as reader,
                self._recorder.giving("assignments", reader, source),
            ):
                self._run("rollups/new_user_assignments")
        else:
            users = self._run("rollups/select_new_users")
            self._users_asked_for = self._recorder.newest_step
            wanted = read_wanted_assignments(self._database_url, users)
            self._recorder.give("assignments", wanted, "rollups/read_wanted_assignments")
            self._run("rollups/new_user_assignments")
        return _keys(counted.variants)

    def _funnel(self) -> Variants:
        _ = self._funnel_steps
        self._run("rollups/create_funnel_activity")
        for days in stretches(self._snapshot, self._window.days()):
            self._run("rollups/funnel_activity", paths=self._paths_of(days), **self._validity)
            self._done(days)
        return ()

    def _funnel_cohort(self) -> Variants:
        _ = self._funnel_steps
        cohorts = FunnelCohorts(
            self._run, self._funnels, oldest=self._oldest, newest=self._newest,
            paths_of=self._paths_of, rows_of=self._rows_of,
        )  # fmt: skip
        for days in stretches(self._snapshot, self._window.days()):
            cohorts.add(days)
            self._done(days)
        return ()

    @cached_property
    def _funnel_steps(self) -> None:
        self._recorder.give("funnel_steps", self._funnels.table())

    @cached_property
    def _snapshot(self) -> LakeSnapshot | None:
        return self._lake.snapshot(self._lake_version)

    @cached_property
    def _tenants(self) -> tuple[str, ...]:
        """Make the table of tenants."""
        with connect(self._database_url, application="tidemark-rollup") as connection:
            tenants = tuple(row[0] for row in connection.execute(statement("rollups/read_tenants")))
        self._recorder.give("tenants", pa.table({"tenant_id": pa.array(tenants, pa.string())}))
        return tenants

    @cached_property
    def _new_users(self) -> int:
        """Make the table of users first seen on the computation's days; return its rows."""
        if self._users is None:
            ((rows,),) = self._run(
                "rollups/new_users",
                paths=self._paths(self._oldest.date(), self._all_days.last + timedelta(days=1)),
                **self._validity,
                window_start=self._all_days.start,
                window_end=self._all_days.end,
            )
        else:
            self._recorder.give("cohort_days", _days_table(self._all_days))
            state = list(self._users.paths) or [self._no_users]
            ((rows,),) = self._run("rollups/new_users_of_state", state=state)
        return int(rows)

    @cached_property
    def _new_user_activity(self) -> None:
        """Make the table of what the new users did in the week after, from the events; those of the state have it."""
        paths = self._paths_of(self._days_until(LONGEST_FOLLOW_UP))
        self._run("rollups/new_user_activity", paths=paths, **self._validity)

    def _reads_events(self, job: Job) -> bool:
        return self._users is None or not job.from_state

    def _count_ignored(self) -> int:
        days = tuple(self._window.days())
        if days not in self._ignored:
            ((count,),) = self._run("rollups/count_ignored_events", paths=self._paths_of(days), **self._validity)
            self._ignored[days] = int(count), self._recorder.newest_step
        return self._ignored[days][0]

    @property
    def _validity(self) -> dict[str, datetime]:
        return {"oldest": self._oldest, "newest": self._newest}

    def _paths(self, first: date, last: date) -> list[str]:
        """Return the lake's files of these days; DuckDB refuses an empty list, hence the file without rows."""
        found = [] if self._snapshot is None else self._snapshot.paths(first, last)
        return found or [self._no_events]

    def _paths_of(self, days: Iterable[date]) -> list[str]:
        """Return the lake's files of just these days."""
        found = [] if self._snapshot is None else self._snapshot.paths_of(days)
        return found or [self._no_events]

    def _days_until(self, reach: timedelta) -> set[date]:
        """Return the computation's days, and those up to `reach` after each."""
        return {day + timedelta(days=number) for day in self._all_days.days() for number in range(reach.days + 1)}

    def _rows_of(self, days: Iterable[date]) -> int:
        return 0 if self._snapshot is None else self._snapshot.rows_of(days)

    def _done(self, days: Sequence[date]) -> None:
        for _ in days:
            self._day_done()

    def _run(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        return self._recorder.run(name, **parameters)


def _days_table(window: Window) -> pa.Table:
    return pa.table({"day": pa.array(window.days(), pa.date32())})


def _keys(variants: pa.Table) -> Variants:
    names = ("tenant_id", "experiment_id", "variant_id")
    return tuple(zip(*(variants.column(name).to_pylist() for name in names), strict=True))
