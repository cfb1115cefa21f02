"""Takes events out of Postgres that are old enough and proven to be in the lake.

Their ids stay behind, so that an event that is sent again is still known, and their number, so that the books balance.
Ids are noted first; rows go only when every transaction that may not have seen the notes has ended. Otherwise a writer
that waits for the removal of the very row it was about to repeat would store it again.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import psycopg

from pipeline.clock import day_start
from pipeline.database import AdvisoryLock, advisory_lock, connect
from pipeline.export.run import check_source
from pipeline.export.source import export_transaction
from pipeline.lake.table import Lake, LakeSnapshot
from pipeline.rollups.checks import lake_matches_postgres
from pipeline.settings import Settings
from pipeline.statements import statement

# Rows of one transaction: some tens of milliseconds.
BATCH_ROWS = 5_000
# Ingestion's transactions take seconds at most; whatever is open for longer is waited for the next night.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
CURSOR = "tidemark_prune"

Say = Callable[[str], None]
RowsDone = Callable[[int, int], None]


class PruneError(Exception):
    """Events cannot be removed now; none was lost, and the next prune goes on where this one stopped."""


class Candidates(NamedTuple):
    """Events old enough to go, of one tenant, UTC day of receipt and UTC day of occurrence."""

    tenant_id: str
    received_day: date
    occurred_day: date
    events: int


@dataclass(frozen=True)
class PruneResult:
    """What a prune did: events received before the UTC day `before` that were removed, and those that had to stay.

    `found` is how many were old enough and exported, `held` a sentence for each tenant and day whose events in the lake
    are not those of Postgres: nothing of them was removed. With `dry_run` nothing was.
    """

    before: date
    found: int
    removed: int
    held: tuple[str, ...]
    lake_version: int | None
    seconds: float
    dry_run: bool


def prune(
    settings: Settings,
    database_url: str,
    lake: Lake,
    as_of: datetime,
    *,
    dry_run: bool = False,
    rows_done: RowsDone = lambda done, total: None,
    patience: float = PATIENCE_SECONDS,
) -> PruneResult:
    """Remove events received `hot_days` UTC days before `as_of`, or earlier, that are in the lake.

    They are those of the event's tenant, or of the settings where it has none of its own.

    Safe beside writers, exports and readers; cost follows the number of rows removed. Killed at any moment, the next
    prune goes on. Raises LockTakenError when another prune runs, SourceChangedError when the lake was filled from
    another database, PruneError when a transaction stays open for more than `patience` seconds, psycopg.Error.
    """
    started = time.monotonic()
    before = as_of.astimezone(UTC).date() - timedelta(days=settings.hot_days)
    with (
        connect(database_url, application="tidemark-prune", autocommit=True) as connection,
        advisory_lock(connection, AdvisoryLock.PRUNE, wait=False),
    ):
        connection.execute(statement("prune/plan_by_index"))
        snapshot = _exported(database_url, lake)
        found = [] if snapshot is None else _candidates(connection, snapshot, as_of, settings.hot_days)
        held = _unproven(settings, database_url, snapshot, found)
        removed = 0
        if snapshot is not None and not dry_run:
            removed = _remove(connection, snapshot, found, list(held), rows_done=rows_done, patience=patience)
    return PruneResult(
        before=before,
        found=sum(part.events for part in found),
        removed=removed,
        held=tuple(held.values()),
        lake_version=None if snapshot is None else snapshot.version,
        seconds=time.monotonic() - started,
        dry_run=dry_run,
    )


def _exported(database_url: str, lake: Lake) -> LakeSnapshot | None:
    """Return the lake's newest version; None when nothing was exported. Its watermark means this very database."""
    table = lake.table()
    if table is None:
        return None
    snapshot = lake.read(table)
    if snapshot.exported_xid is None:
        return None
    with export_transaction(database_url, snapshot.exported_xid) as transaction:
        check_source(transaction.source, table, snapshot.exported_xid)
    return snapshot


def _candidates(
    connection: psycopg.Connection, snapshot: LakeSnapshot, as_of: datetime, hot_days: int
) -> list[Candidates]:
    today = as_of.astimezone(UTC).date()
    scope = {"today": today, "hot_days": hot_days, "watermark": snapshot.exported_xid}
    rows = connection.execute(statement("prune/count_candidates"), scope).fetchall()
    return [Candidates(*row) for row in rows]


def _unproven(
    settings: Settings, database_url: str, snapshot: LakeSnapshot | None, found: Sequence[Candidates]
) -> dict[tuple[str, date], str]:
    """Return a sentence for each tenant and UTC day of occurrence among the candidates that the lake does not match."""
    wanted = {(part.tenant_id, part.occurred_day) for part in found}
    unproven = {}
    for first, last in _stretches({day for _, day in wanted}):
        for balance in lake_matches_postgres(settings, database_url, snapshot, first, last):
            if not balance.matches and (balance.tenant_id, balance.day) in wanted:
                unproven[balance.tenant_id, balance.day] = str(balance)
    return unproven


def _stretches(days: set[date]) -> Iterator[tuple[date, date]]:
    """Yield the first and last of each unbroken run of days."""
    for first in sorted(day for day in days if day - timedelta(days=1) not in days):
        last = first
        while last + timedelta(days=1) in days:
            last += timedelta(days=1)
        yield first, last


def _remove(
    connection: psycopg.Connection,
    snapshot: LakeSnapshot,
    found: Sequence[Candidates],
    held: Sequence[tuple[str, date]],
    *,
    rows_done: RowsDone,
    patience: float,
) -> int:
    """Remove day by day of receipt, each in many short transactions; return how many events went."""
    by_day: Counter[date] = Counter()
    tenants: defaultdict[date, set[str]] = defaultdict(set)
    for part in found:
        if (part.tenant_id, part.occurred_day) not in held:
            by_day[part.received_day] += part.events
            tenants[part.received_day].add(part.tenant_id)
    removed = 0
    for day in sorted(by_day):
        scope = {
            "start": day_start(day),
            "end": day_start(day + timedelta(days=1)),
            "watermark": snapshot.exported_xid,
            "tenants": sorted(tenants[day]),
            "held_tenants": [tenant_id for tenant_id, _ in held],
            "held_days": [occurred_day for _, occurred_day in held],
        }
        with _keys(connection, scope) as keys:
            for number, batch in enumerate(_batches(keys)):
                connection.execute(statement("prune/remember_ids"), batch)
                if number == 0:  # the planner must know that the table has rows, or it reads all of them for each event
                    connection.execute(statement("prune/analyze_removed_ids"))
            _wait_for_writers(connection, patience)
            keys.scroll(0, mode="absolute")
            for batch in _batches(keys):
                row = connection.execute(statement("prune/remove_events"), batch).fetchone()
                removed += 0 if row is None else int(row[0])
                rows_done(removed, by_day.total())
    if by_day:
        connection.execute(statement("prune/analyze_removed_ids"))
    return removed


@contextmanager
def _keys(
    connection: psycopg.Connection, scope: Mapping[str, object]
) -> Iterator[psycopg.ServerCursor[tuple[str, UUID]]]:
    """Open a cursor over the keys of a day's events; it outlives its transaction, so that none stays open."""
    with connection.cursor(CURSOR, scrollable=True, withhold=True) as keys:
        keys.itersize = BATCH_ROWS
        with connection.transaction():
            keys.execute(statement("prune/read_candidates"), scope)
        yield keys


def _batches(keys: psycopg.ServerCursor[tuple[str, UUID]]) -> Iterator[dict[str, list[object]]]:
    while batch := keys.fetchmany(BATCH_ROWS):
        yield {"tenant_ids": [tenant_id for tenant_id, _ in batch], "event_ids": [event_id for _, event_id in batch]}


def _wait_for_writers(connection: psycopg.Connection, patience: float) -> None:
    """Wait until every transaction that had begun to write by now has ended: those that come later see the notes.

    A transaction that stores events has its id before it looks for notes, because it has staged the events by then.
    """
    begun, _ = _transactions(connection)
    deadline = time.monotonic() + patience
    while _transactions(connection)[1] < begun:
        if time.monotonic() > deadline:
            raise PruneError(
                f"a transaction that writes has been open for {patience:.0f} seconds (pg_stat_activity shows it); no"
                " event is removed before it has ended: run `prune` again then"
            )
        time.sleep(POLL_SECONDS)


def _transactions(connection: psycopg.Connection) -> tuple[int, int]:
    row = connection.execute(statement("prune/newest_transaction")).fetchone()
    return (0, 0) if row is None else (int(row[0]), int(row[1]))
