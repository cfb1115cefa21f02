"""Writes events into Postgres: the one place that does, for every protocol, the import and any replay.

One group of events is one transaction: staged by COPY, inserted once per (tenant, event_id), stamped with the user's
assignments, and booked in the ledger. When `store` returns inside a committed transaction, the events are durable.
Validation is the caller's: rows given here must be storable.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import NamedTuple
from uuid import UUID

import psycopg

from pipeline.dead_letters import DEFAULT_CAP, Cap, DeadLetter, book, keep
from pipeline.retail_stats import count_visits, may_hold_visits
from pipeline.statements import statement

LEDGER_SLOTS = 16


class EventRow(NamedTuple):
    """One event, ready to store; its fields are columns of `event_logs`.

    Times are aware datetimes. `event_id` is a lower-case UUID. `properties` and `context` are texts of JSON objects.
    With `assignments` None, the event is stamped with what its user is assigned to when it is stored; an import gives
    `assignments` (a JSON list), `experiment_map` (a JSON object) and `assignment_version` itself.
    """

    event_id: str
    tenant_id: str
    anonymous_user_id: str
    session_id: str | None
    install_id: str | None
    platform: str | None
    app_version: str | None
    event_name: str
    occurred_at: datetime
    received_at: datetime
    sent_at: datetime | None
    properties: str = "{}"
    context: str = "{}"
    assignment_version: int | None = None
    assignments: str | None = None
    experiment_map: str | None = None
    schema_version: int = 1


class LedgerKey(NamedTuple):
    """An account of the ledger: a tenant's UTC day of receipt."""

    tenant_id: str
    day: date


@dataclass(frozen=True)
class Lot:
    """Events that came together, and what is to be known of their receipt.

    `as_received`: they waited (in a spool), and are stamped with the assignments made by their `received_at`, in the
    experiments of `running` (None: in those that run now).
    """

    rows: Sequence[EventRow]
    as_received: bool = False
    running: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Receipt:
    """What a transaction takes out of a spool: all its groups after `before`, up to `seq`."""

    spool_id: UUID
    before: int
    seq: int


class ReceiptError(Exception):
    """Another transaction has stored these groups of the spool; nothing was stored. Read the receipt again."""


@dataclass(frozen=True)
class StoreResult:
    """What became of a group: stored + duplicate = its rows; conflict is the part of duplicate with another payload.

    `xid` is the transaction that stored it, `dropped` the number of dead letters that had to go for new ones.
    """

    stored: int
    duplicate: int
    conflict: int
    xid: int | None = field(default=None, compare=False)
    dropped: int = 0


def store(
    connection: psycopg.Connection, rows: Sequence[EventRow], rejected: Mapping[LedgerKey, int] | None = None
) -> StoreResult:
    """Store a group of events and book it, in one transaction that is committed on return.

    Idempotent per (tenant_id, event_id): the first payload stays. `rejected` counts events the caller refused, so
    that the ledger balances. Raises psycopg.Error (nothing is stored then); the caller decides whether to retry.
    """
    with connection.transaction():
        return write(connection, [Lot(rows)], rejected=rejected)


def write(
    connection: psycopg.Connection,
    lots: Sequence[Lot],
    letters: Sequence[DeadLetter] = (),
    *,
    rejected: Mapping[LedgerKey, int] | None = None,
    receipt: Receipt | None = None,
    booked: bool = False,
    cap: Cap = DEFAULT_CAP,
) -> StoreResult:
    """Do what `store` does within the caller's transaction, which must hold nothing else of this kind.

    `letters` are refused events to keep; they are booked as rejected, beside those that `rejected` counts.
    `receipt` says what this transaction takes out of a spool. `booked`: an earlier transaction has stored and booked
    these events; should it have lost some after all, those are stored and booked. Raises ReceiptError.
    """
    if receipt is not None:
        _sign(connection, receipt)
    refused = Counter(rejected or {})
    refused.update(LedgerKey(letter.tenant_id, letter.received_at.astimezone(UTC).date()) for letter in letters)
    received = _received(lots)
    stored: Counter[LedgerKey] = Counter()
    conflict: Counter[LedgerKey] = Counter()
    if received:
        _stage(connection, lots)
        stored = _counts(connection, "ingest/store_events")
        if booked:
            received = stored.copy()
        elif stored.total() < received.total():
            conflict = _counts(connection, "ingest/count_conflicts")
        if any(may_hold_visits(lot.rows) for lot in lots):
            count_visits(connection)
    xid: int | None = None
    for key in sorted(received.keys() | refused.keys()):
        xid = _book(
            connection,
            key,
            received=received[key] + refused[key],
            stored=stored[key],
            duplicate=received[key] - stored[key],
            conflict=conflict[key],
            rejected=refused[key],
        )
    book(connection, not_kept=rejected)
    dropped = keep(connection, letters, cap)  # after the ledger, as in a replay: all writers lock in one order
    return StoreResult(stored.total(), received.total() - stored.total(), conflict.total(), xid, dropped)


def _counts(connection: psycopg.Connection, name: str) -> Counter[LedgerKey]:
    rows = connection.execute(statement(name)).fetchall()
    return Counter({LedgerKey(tenant_id, day): count for tenant_id, day, count in rows})


def refuses_events(error: Exception) -> bool:
    """Whether an exception of `write` means that some of the events cannot be stored, rather than that none can now."""
    faults = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded, UnicodeError)
    return isinstance(error, faults)


def find_unstorable(connection: psycopg.Connection, rows: Sequence[EventRow]) -> frozenset[int]:
    """Return the positions of the events that Postgres refuses, should it refuse any, and store nothing.

    Halves of halves are tried in transactions that are rolled back: a few refused among many are found in few tries.
    Raises psycopg.Error for any other failure.
    """
    found: set[int] = set()
    parts = [range(len(rows))]
    while parts:
        part = parts.pop()
        if _is_storable(connection, [rows[position] for position in part]):
            continue
        if len(part) == 1:
            found.add(part[0])
        else:
            parts += [part[: len(part) // 2], part[len(part) // 2 :]]
    return frozenset(found)


def _is_storable(connection: psycopg.Connection, rows: Sequence[EventRow]) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            write(connection, [Lot(rows)])
    except (psycopg.Error, UnicodeError) as error:
        if not refuses_events(error):
            raise
        return False
    return True


def _received(lots: Sequence[Lot]) -> Counter[LedgerKey]:
    """Count by account; consecutive rows mostly have the same, and looking at each one's date would cost more."""
    counts: Counter[LedgerKey] = Counter()
    for lot in lots:
        previous: datetime | None = None
        for row in lot.rows:
            if row.received_at is not previous:
                previous = row.received_at
                day = previous.astimezone(UTC).date()
            counts[LedgerKey(row.tenant_id, day)] += 1
    return counts


def _sign(connection: psycopg.Connection, receipt: Receipt) -> None:
    """Sign before anything else: whoever is at the same groups, or died while it committed them, is waited for."""
    signed = connection.execute(
        statement("ingest/sign_receipt"),
        {"spool_id": receipt.spool_id, "before": receipt.before, "seq": receipt.seq},
    ).fetchone()
    if signed is None:
        raise ReceiptError


def _book(connection: psycopg.Connection, key: LedgerKey, **counts: int) -> int:
    row = connection.execute(
        statement("ingest/add_to_ledger"),
        {**key._asdict(), "slot": threading.get_native_id() % LEDGER_SLOTS, **counts},
    ).fetchone()
    assert row is not None, "an upsert returns its row"
    return int(row[0])


def _stage(connection: psycopg.Connection, lots: Sequence[Lot]) -> None:
    connection.execute(statement("ingest/create_incoming_events"))
    with connection.cursor().copy(statement("ingest/copy_incoming_events")) as copy:
        copy.write("".join(_copy_lines(lots)).encode())


def _copy_lines(lots: Sequence[Lot]) -> Iterator[str]:
    """Yield the rows in COPY's text format; what the events of one request share is written out once.

    Faster than psycopg's own writer by the factor that decides how many events a process can take.
    """
    position = source = 0
    for lot in lots:
        shared: tuple[object, ...] = ()
        for row in lot.rows:
            (
                event_id, tenant_id, user, session, install, platform, version, name, occurred_at, received_at, sent_at,
                properties, context, *given,
            ) = row  # fmt: skip
            of_row = (tenant_id, user, session, install, platform, version, received_at, sent_at, given)
            if of_row != shared:
                shared = of_row
                source += 1
                end = _shared_columns(lot, row)
            yield (
                f"{position}\t{source}\t{event_id}\t{_escaped(name)}\t{occurred_at.isoformat()}"
                f"\t{_escaped(properties)}\t{_escaped(context)}\t{end}"
            )
            position += 1


def _shared_columns(lot: Lot, row: EventRow) -> str:
    running = None if lot.running is None else "{" + ",".join(map(_array_element, lot.running)) + "}"
    columns = (
        row.tenant_id,
        row.anonymous_user_id,
        row.session_id,
        row.install_id,
        row.platform,
        row.app_version,
        row.received_at.isoformat(),
        None if row.sent_at is None else row.sent_at.isoformat(),
        None if row.assignment_version is None else str(row.assignment_version),
        row.assignments,
        row.experiment_map,
        str(row.schema_version),
        row.received_at.isoformat() if lot.as_received else "infinity",
        running,
    )
    return "\t".join(r"\N" if column is None else _escaped(column) for column in columns) + "\n"


def _array_element(text: str) -> str:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"'


def _escaped(text: str) -> str:
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "\n" in text or "\t" in text or "\r" in text:
        text = text.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")
    return text
