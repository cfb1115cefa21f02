"""Brings the users state up to the lake's newest version, and marks the days whose published numbers that can change.

Which days those are is decided per job by the statements sql/refresh/stale_<job>, from the new events and from what is
known of users now and was before. The days are marked before the state moves on: killed in between, the same days are
found again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
from psycopg import IsolationLevel, errors

from pipeline.database import connect
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.files import write_no_events
from pipeline.lake.table import Lake, LakeSnapshot, stretches
from pipeline.refresh import stale_days
from pipeline.refresh.arrivals import count_arrivals
from pipeline.refresh.lake_changes import UnknownChangesError, added_files
from pipeline.refresh.user_state import UserSnapshot, UserState, write_no_users
from pipeline.rollups.funnels import Funnels, read_funnels
from pipeline.rollups.jobs import (
    REFRESH_JOBS,
    RETENTION_DAYS,
    VALID_AGE,
    VALID_AHEAD,
    Window,
    first_computable_day,
    job_named,
)
from pipeline.settings import Settings
from pipeline.statements import statement

ATTEMPTS = 5
NO_EVENTS = -1
PART_EVENTS = 2_000_000
CHANGED_ASSIGNMENTS = pa.schema(
    [
        pa.field("tenant_id", pa.string()),
        pa.field("anonymous_user_id", pa.string()),
        pa.field("experiment_id", pa.string()),
        pa.field("variant_id", pa.string()),
        pa.field("day", pa.date32()),
    ]
)


@dataclass(frozen=True)
class Advance:
    """The state after an advance; `why_rebuilt` says why it was made anew from all valid events, None otherwise."""

    users: UserSnapshot
    why_rebuilt: str | None


def advance(settings: Settings, database_url: str, lake: Lake, as_of: datetime, *, rebuild: bool = False) -> Advance:
    """Advance the state to the lake's newest version as of `as_of` (aware), and mark what becomes stale.

    The caller holds the lock REFRESH. With `rebuild`, or when the state is missing, unreadable or ahead of `as_of`, it
    is made anew and every day that can be computed becomes stale. Raises LakeError, psycopg.Error, duckdb.Error.
    """
    snapshot, state = lake.snapshot(), UserState(lake)
    before = state.snapshot()
    why, added = ("asked for", []) if rebuild else _added(lake, before, snapshot, as_of)
    with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
        count_arrivals(database_url, engine, lake, snapshot, anew=rebuild)
        start = before if why is None else None
        work = _Work(
            engine,
            scratch,
            snapshot=snapshot,
            as_of=as_of,
            before=start,
            added=added,
            funnels=read_funnels(settings.funnels),
        )
        for attempt in range(ATTEMPTS):
            try:
                _mark(database_url, work)
                break
            except (errors.SerializationFailure, errors.DeadlockDetected):  # a rollup published meanwhile
                if attempt == ATTEMPTS - 1:
                    raise
        if work.before is None:
            state.write(work.whole_state(), events_version=work.version, as_of=as_of, added_to=None)
        elif work.moves_on:
            state.write(work.changed_state(), events_version=work.version, as_of=as_of, added_to=work.before)
        now = state.snapshot()
        if now is not None and now.wants_merge:
            rows = work.merged_state(now)
            state.write(rows, events_version=now.events_version, as_of=now.as_of, added_to=None)
            now = state.snapshot()
    if now is None:
        raise RuntimeError(f"the users state at {state.location} vanished")
    return Advance(now, why)


def _added(
    lake: Lake, before: UserSnapshot | None, snapshot: LakeSnapshot | None, as_of: datetime
) -> tuple[str | None, list[str]]:
    """Return why the state has to be rebuilt, if so, and else the files added to the lake since."""
    version = NO_EVENTS if snapshot is None else snapshot.version
    if before is None:
        return "there is none", []
    if before.as_of > as_of:
        return f"it is as of {before.as_of:%Y-%m-%d %H:%M:%S} already", []
    if before.events_version > version:
        return f"it includes version {before.events_version} of the lake, which is at {version}", []
    try:
        return None, added_files(lake, before.events_version, version)
    except UnknownChangesError as error:
        return str(error), []


def _mark(database_url: str, work: _Work) -> None:
    """Mark stale days and take the changes of assignments, in one transaction."""
    with connect(database_url, application="tidemark-refresh") as connection:
        connection.isolation_level = IsolationLevel.REPEATABLE_READ
        taken = connection.execute(statement("refresh/take_assignment_changes")).fetchall()
        inputs = connection.execute(statement("refresh/read_inputs"), {"funnels": work.funnels.sha256}).fetchall()
        if work.before is None:
            stale_days.mark_all(connection, work.window.days(), work.as_of)
            connection.execute(statement("refresh/empty_assigned_counts"))
            connection.execute(statement("refresh/count_assignments"))
        else:
            changed = {name for name, fingerprint, seen in inputs if fingerprint != seen}
            work.look_at([row[:5] for row in taken])
            for job in REFRESH_JOBS:
                stale_days.mark(connection, job, work.stale(job, changed), work.as_of)
            _count(connection, taken)
        for name, fingerprint, _ in inputs:
            connection.execute(statement("refresh/note_input"), {"name": name, "fingerprint": fingerprint})


def _count(connection: psycopg.Connection, taken: Sequence[tuple[Any, ...]]) -> None:
    counts: Counter[tuple[str, str, str, date]] = Counter()
    for tenant, _, experiment, variant, day, change in taken:
        counts[tenant, experiment, variant, day] += change
    rows = [(*key, users) for key, users in sorted(counts.items()) if users]
    names = ("tenant_ids", "experiment_ids", "variant_ids", "days", "users")
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    connection.execute(statement("refresh/add_assigned_counts"), dict(zip(names, columns, strict=True)))


class _Work:
    """The computation of one advance: `before` is the state it starts from, None to begin with all valid events."""

    def __init__(
        self,
        engine: duckdb.DuckDBPyConnection,
        scratch: Path,
        *,
        snapshot: LakeSnapshot | None,
        as_of: datetime,
        before: UserSnapshot | None,
        added: Sequence[str],
        funnels: Funnels,
    ) -> None:
        self._engine = engine
        self._snapshot = snapshot
        self._added = added
        self._no_events = write_no_events(scratch)
        self._no_users = write_no_users(scratch)
        self.funnels = funnels
        self.as_of = as_of
        self.before = before
        self.version = NO_EVENTS if snapshot is None else snapshot.version
        self.window = Window(first_computable_day(as_of), as_of.astimezone(UTC).date())

    @property
    def moves_on(self) -> bool:
        """Whether the state has to be written: something changed, or a day has begun."""
        before = self.before
        return (
            before is None
            or before.events_version != self.version
            or before.as_of.date() != self.as_of.date()
            or self.changed_state().num_rows > 0
        )

    def look_at(self, changed_assignments: Sequence[tuple[Any, ...]]) -> None:
        """Find who has changed: the tables known_users and changed_users, and changed_assignments of what is given."""
        if self.before is None:
            raise ValueError("there is no state to look at")
        columns = list(zip(*changed_assignments, strict=True)) if changed_assignments else [()] * 5
        arrays = [pa.array(column, field.type) for column, field in zip(columns, CHANGED_ASSIGNMENTS, strict=True)]
        self._engine.register("changed_assignments", pa.table(arrays, CHANGED_ASSIGNMENTS))
        seen_until = (self.before.as_of + VALID_AHEAD).astimezone(UTC)
        days = Window(seen_until.date(), max(self._newest.date(), seen_until.date())).days()
        self._run(
            "users/new_activity", new_paths=list(self._added) or [self._no_events], matured_paths=self._paths(days),
            seen_until=seen_until, **self._validity,
        )  # fmt: skip
        state = list(self.before.paths) or [self._no_users]
        self._run("users/known_users", state=state, oldest_day=self._oldest.date())
        self._run("users/merged_facts", oldest=self._oldest)
        self._run("users/state_rows", periods=list(RETENTION_DAYS))
        self._run("users/changed_users")

    def stale(self, job: str, changed_inputs: Iterable[str]) -> list[date]:
        """Return the days of a job that can change and can be computed."""
        if self.before is None or "tenants" in changed_inputs:
            return list(self.window.days())
        if "variants" in changed_inputs and job_named(job).reads_variants:
            return list(self.window.days())
        if "funnels" in changed_inputs and job_named(job).reads_funnels:
            return list(self.window.days())
        name = f"refresh/stale_{job}"
        known = {"last_day": self.window.last, "follow_days": self.funnels.days_after}
        parameters = {key: value for key, value in known.items() if f"${key}" in statement(name)}
        days = {day for (day,) in self._run(name, **parameters)}
        begun = Window(min(self.before.as_of.date(), self.window.last), self.window.last).days()
        days |= {day for day in begun if day > self.before.as_of.date()}
        return sorted(day for day in days if day is not None and self.window.first <= day <= self.window.last)

    def changed_state(self) -> pa.Table:
        """Return the rows to add to the state."""
        return self._table("users/changed_state", events_version=self.version, as_of=self.as_of)

    def merged_state(self, users: UserSnapshot) -> pa.Table:
        """Return the rows of a state that still hold."""
        return self._table("users/merged_state", state=list(users.paths))

    def whole_state(self) -> pa.Table:
        """Return the state as it follows from all valid events."""
        valid_days = list(Window(self._oldest.date(), self._newest.date()).days())
        events = 0 if self._snapshot is None else self._snapshot.rows_of(valid_days)
        parts = events // PART_EVENTS + 1
        self._run("users/create_user_days")
        for days in stretches(self._snapshot, valid_days):
            self._run("users/add_user_days", paths=self._paths(days), parts=parts, **self._validity)
        self._run("users/create_user_facts")
        for part in range(parts):
            self._run("users/add_user_facts", part=part)
        self._run("users/drop_user_days")
        self._run("users/state_rows", periods=list(RETENTION_DAYS))
        return self._table("users/whole_state", events_version=self.version, as_of=self.as_of)

    @cached_property
    def _oldest(self) -> datetime:
        return (self.as_of - VALID_AGE).astimezone(UTC)

    @cached_property
    def _newest(self) -> datetime:
        return (self.as_of + VALID_AHEAD).astimezone(UTC)

    @property
    def _validity(self) -> dict[str, datetime]:
        return {"oldest": self._oldest, "newest": self._newest}

    def _paths(self, days: Iterable[date]) -> list[str]:
        found = [] if self._snapshot is None else self._snapshot.paths_of(days)
        return found or [self._no_events]

    def _table(self, name: str, **parameters: object) -> pa.Table:
        return pa.table(self._engine.sql(statement(name), params=parameters).to_arrow_table())

    def _run(self, name: str, **parameters: object) -> list[tuple[Any, ...]]:
        return self._engine.execute(statement(name), parameters).fetchall()
