"""The computation of rollups: the statements of sql/rollups over the files of one lake version.

Work that several jobs need (who is new in the window, and what they did next) is done once per computation. What holds
state that cannot spill (medians, distinct counts) is done a few days at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.arrow_transaction import arrow_transaction
from pipeline.database import connect
from pipeline.jobs import LONGEST_FOLLOW_UP, VALID_AGE, VALID_AHEAD, Job, Window
from pipeline.lake import Lake, LakeSnapshot
from pipeline.lake_schema import FILE_SCHEMA
from pipeline.staging import InputFacts
from pipeline.statements import statement

DayDone = Callable[[], None]
STRETCH_EVENTS = 1_000_000
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


class Computation:
    """Computes jobs over one window of one lake version; results are the same for every job order.

    The lake is read at `lake_version`, by default its newest when the first job is computed; a lake without a table has
    no events. `assigned_before` leaves out assignments made at or after that moment, to compute a past run again.
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
        assigned_before: datetime = END_OF_TIME,
        day_done: DayDone = lambda: None,
    ) -> None:
        self._engine = engine
        self._database_url = database_url
        self._lake = lake
        self._lake_version = lake_version
        self._window = window
        self._assigned_before = assigned_before
        self._day_done = day_done
        self._oldest = as_of - VALID_AGE
        self._newest = as_of + VALID_AHEAD
        self._no_events = scratch / "day=1970-01-01" / "no_events.parquet"

    def compute(self, job: Job) -> tuple[pa.Table, InputFacts]:
        """Return a job's result, sorted by key, and what it was computed from."""
        tenants = self._tenants
        variants = {"daily": self._daily, "experiment": self._experiment, "funnel": self._funnel}[job.name]()
        rows = pa.table(self._engine.sql(statement(f"rollups/{job.table}")).to_arrow_table())
        facts = InputFacts(
            lake_version=None if self._snapshot is None else self._snapshot.version,
            lake_rows=0 if self._snapshot is None else self._snapshot.rows(self._window.first, self._window.last),
            ignored_count=self._ignored_count,
            tenants=tenants,
            variants=variants,
        )
        return rows.select(list(job.columns)).sort_by([(column, "ascending") for column in job.key]), facts

    def _daily(self) -> tuple[tuple[str, str, str], ...]:
        _ = self._new_users
        self._run("rollups/create_daily_activity")
        self._run("rollups/create_event_volume")
        for first, last in self._stretches():
            self._run("rollups/daily_activity", paths=self._paths(first, last), **self._validity)
            self._run("rollups/event_volume", paths=self._paths(first, last), **self._validity)
            self._done(first, last)
        return ()

    def _experiment(self) -> tuple[tuple[str, str, str], ...]:
        _ = self._new_users
        with arrow_transaction(self._database_url, application="tidemark-rollup") as transaction:
            variants = transaction.table("rollups/read_running_variants")
            self._engine.register("variants", variants)
            with transaction.query("rollups/read_assignments") as assignments:
                self._engine.register("assignments", assignments)
                self._run(
                    "rollups/assigned_users", window_start=self._window.start, assigned_before=self._assigned_before
                )
                self._engine.unregister("assignments")
        self._done(self._window.first, self._window.last)
        names = ("tenant_id", "experiment_id", "variant_id")
        return tuple(zip(*(variants.column(name).to_pylist() for name in names), strict=True))

    def _funnel(self) -> tuple[tuple[str, str, str], ...]:
        self._run("rollups/funnel_steps")
        self._run("rollups/create_funnel_activity")
        for first, last in self._stretches():
            self._run("rollups/funnel_activity", paths=self._paths(first, last), **self._validity)
            self._done(first, last)
        return ()

    @cached_property
    def _snapshot(self) -> LakeSnapshot | None:
        return self._lake.snapshot(self._lake_version)

    @cached_property
    def _tenants(self) -> tuple[str, ...]:
        """Make the tables of tenants and days, and of a lake file without rows."""
        self._no_events.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(FILE_SCHEMA.empty_table(), self._no_events)
        with connect(self._database_url, application="tidemark-rollup") as connection:
            tenants = tuple(row[0] for row in connection.execute(statement("rollups/read_tenants")))
        self._engine.register("tenants", pa.table({"tenant_id": pa.array(tenants, pa.string())}))
        self._engine.register("days", pa.table({"day": pa.array(self._window.days(), pa.date32())}))
        return tenants

    @cached_property
    def _new_users(self) -> None:
        """Make the tables of users first seen in the window and of what they did in the week after."""
        self._run(
            "rollups/new_users",
            paths=self._paths(self._oldest.date(), self._window.last),
            **self._validity,
            window_start=self._window.start,
            window_end=self._window.end,
        )
        self._run(
            "rollups/new_user_activity",
            paths=self._paths(self._window.first, (self._window.end + LONGEST_FOLLOW_UP).date()),
            **self._validity,
        )

    @cached_property
    def _ignored_count(self) -> int:
        paths = self._paths(self._window.first, self._window.last)
        ((count,),) = self._run("rollups/count_ignored_events", paths=paths, **self._validity)
        return int(count)

    @property
    def _validity(self) -> dict[str, datetime]:
        return {"oldest": self._oldest, "newest": self._newest}

    def _paths(self, first: date, last: date) -> list[str]:
        """Return the lake's files of these days; DuckDB refuses an empty list, hence the file without rows."""
        found = [] if self._snapshot is None else self._snapshot.paths(first, last)
        return found or [str(self._no_events)]

    def _stretches(self) -> Iterator[tuple[date, date]]:
        """Cut the window into stretches of days with a bounded number of events; a bigger day stands alone.

        One statement over a stretch reads its files side by side; over all days at once its state would not be bounded.
        """
        stretch: list[date] = []
        events = 0
        for day in self._window.days():
            rows = 0 if self._snapshot is None else self._snapshot.rows(day, day)
            if stretch and events + rows > STRETCH_EVENTS:
                yield stretch[0], stretch[-1]
                stretch, events = [], 0
            stretch.append(day)
            events += rows
        yield stretch[0], stretch[-1]

    def _done(self, first: date, last: date) -> None:
        for _ in Window(first, last).days():
            self._day_done()

    def _run(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        # Fetched whole: an open result keeps the connection from anything else.
        return self._engine.execute(statement(name), parameters).fetchall()
