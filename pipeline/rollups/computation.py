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
from pipeline.refresh.counted_assignments import read_counted_assignments
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
Variants = tuple[tuple[str, str, str], ...]


class Computation:
    """Computes jobs over one window of one lake version; results are the same for every job order.

    The lake is read at `lake_version`, by default its newest when the first job is computed; a lake without a table has
    no events. With `users`, the users state as of this version and moment, the history is not read: the state says who
    is new, and assignments are those counted. `assigned_before` leaves out assignments made at or after that moment, to
    compute a past run again. `funnels` are by default those of the repository.
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
        self._window = window
        self._assigned_before = assigned_before
        self._day_done = day_done
        self._oldest = as_of - VALID_AGE
        self._newest = as_of + VALID_AHEAD
        self._no_events = write_no_events(scratch)
        self._no_users = write_no_users(scratch)

    def compute(self, job: Job) -> tuple[pa.Table, InputFacts]:
        """Return a job's result, sorted by key, and what it was computed from."""
        tenants = self._tenants
        variants = {
            "daily": self._daily, "experiment": self._experiment, "funnel": self._funnel,
            "funnel_cohort": self._funnel_cohort, "retention": self._retention,
        }[job.name]()  # fmt: skip
        rows = self._recorder.read(f"rollups/{job.table}")
        facts = InputFacts(
            lake_version=None if self._snapshot is None else self._snapshot.version,
            lake_rows=self._rows_of(self._window.days()),
            ignored_count=self._ignored_count,
            tenants=tenants,
            variants=variants,
            funnel_steps=self._funnels.steps(ordered=job.name == "funnel_cohort") if job.reads_funnels else (),
        )
        return rows.select(list(job.columns)).sort_by([(column, "ascending") for column in job.key]), facts

    def recording(self, job: Job) -> Recording:
        """Return what was done for a job that was computed."""
        also = ["rollups/count_ignored_events", *(["rollups/select_new_users"] if job.reads_variants else [])]
        return self._recorder.recording(f"rollups/{job.table}", *also)

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
        _ = self._new_user_activity
        self._run("rollups/create_daily_activity")
        self._run("rollups/create_event_volume")
        for days in stretches(self._snapshot, self._window.days()):
            self._run("rollups/daily_activity", paths=self._paths_of(days), **self._validity)
            self._run("rollups/event_volume", paths=self._paths_of(days), **self._validity)
            self._done(days)
        return ()

    def _experiment(self) -> Variants:
        _ = self._new_user_activity
        if self._users is None:
            scope = {"window_start": self._window.start, "assigned_before": self._assigned_before}
            variants = self._with_all_assignments("rollups/assigned_users", **scope)
        else:
            variants = self._with_counted_assignments("rollups/assigned_users_of_counts")
        self._done(list(self._window.days()))
        return variants

    def _retention(self) -> Variants:
        _ = self._new_users
        self._run("rollups/retention_periods")
        self._run("rollups/create_user_days")
        if self._users is None:
            wanted = {day + timedelta(days=after) for day in self._window.days() for after in RETENTION_DAYS}
            for days in stretches(self._snapshot, sorted(wanted)):
                self._run("rollups/user_days", paths=self._paths_of(days), **self._validity)
            variants = self._with_all_assignments("rollups/retention_members", assigned_before=self._assigned_before)
        else:
            self._run("rollups/user_days_of_state", state=list(self._users.paths) or [self._no_users])
            variants = self._with_counted_assignments("rollups/retention_members_of_users")
        self._run("rollups/retention_cohorts")
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

    def _with_counted_assignments(self, name: str) -> Variants:
        """Run a statement that reads the counted assignments and those of new users; return the running variants."""
        users = self._run("rollups/select_new_users")
        counted = read_counted_assignments(self._database_url, users)
        self._recorder.give("variants", counted.variants)
        self._recorder.give("assigned_counts", counted.counts)
        self._recorder.give("assignments", counted.assignments, "rollups/read_wanted_assignments")
        self._run(name)
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
        """Make the tables of tenants and days."""
        with connect(self._database_url, application="tidemark-rollup") as connection:
            tenants = tuple(row[0] for row in connection.execute(statement("rollups/read_tenants")))
        self._recorder.give("tenants", pa.table({"tenant_id": pa.array(tenants, pa.string())}))
        self._recorder.give("days", pa.table({"day": pa.array(self._window.days(), pa.date32())}))
        return tenants

    @cached_property
    def _new_users(self) -> None:
        """Make the table of users first seen in the window."""
        if self._users is None:
            self._run(
                "rollups/new_users",
                paths=self._paths(self._oldest.date(), self._window.last),
                **self._validity,
                window_start=self._window.start,
                window_end=self._window.end,
            )
        else:
            self._run("rollups/cohort_users", state=list(self._users.paths) or [self._no_users])
            self._run("rollups/new_users_of_cohorts", paths=self._paths_of(self._window.days()), **self._validity)

    @cached_property
    def _new_user_activity(self) -> None:
        """Make the tables of users first seen in the window and of what they did in the week after."""
        _ = self._new_users
        self._run(
            "rollups/new_user_activity",
            paths=self._paths_of(self._days_until(LONGEST_FOLLOW_UP)),
            **self._validity,
        )

    @cached_property
    def _ignored_count(self) -> int:
        paths = self._paths_of(self._window.days())
        ((count,),) = self._run("rollups/count_ignored_events", paths=paths, **self._validity)
        return int(count)

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
        """Return the window's days, and those up to `reach` after each."""
        return {day + timedelta(days=number) for day in self._window.days() for number in range(reach.days + 1)}

    def _rows_of(self, days: Iterable[date]) -> int:
        return 0 if self._snapshot is None else self._snapshot.rows_of(days)

    def _done(self, days: Sequence[date]) -> None:
        for _ in days:
            self._day_done()

    def _run(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        return self._recorder.run(name, **parameters)


def _keys(variants: pa.Table) -> Variants:
    names = ("tenant_id", "experiment_id", "variant_id")
    return tuple(zip(*(variants.column(name).to_pylist() for name in names), strict=True))
