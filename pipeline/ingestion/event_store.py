"""Writes events into Postgres: the one place that does, for every protocol, the import and any replay.

One group of events is one transaction: staged by COPY, inserted once per (tenant, event_id), stamped with the user's
assignments, and booked in the ledger. When `store` returns inside a committed transaction, the events are durable.
Validation is the caller's: rows given here must be storable.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import NamedTuple
from uuid import UUID

import psycopg

from pipeline.ingestion.campaign_counts import count_campaign_events, may_hold_campaign_events
from pipeline.ingestion.dead_letters import DEFAULT_CAP, Cap, DeadLetter, book, keep
from pipeline.ingestion.event_staging import EventRow, Lot, prepare_to_begin, stage_and_store
from pipeline.ingestion.retail_stats import count_visits, may_hold_visits
from pipeline.statements import statement

__all__ = [
    "EventRow",
    "LedgerKey",
    "Lot",
    "Receipt",
    "ReceiptError",
    "StoreResult",
    "Witness",
    "find_unstorable",
    "prepare_to_begin",
    "refuses_events",
    "store",
    "transaction_status",
    "write",
]


class LedgerKey(NamedTuple):
    """An account of the ledger: a tenant's UTC day of receipt."""

    tenant_id: str
    day: date


@dataclass(frozen=True)
class Receipt:
    """What a transaction takes out of a spool: all its groups after `before`, up to `seq`."""

    spool_id: UUID
    before: int
    seq: int


class ReceiptError(Exception):
    """Another transaction has stored these groups of the spool; nothing was stored. Read the receipt again."""


class Witness(NamedTuple):
    """An event that a certain transaction has stored: where it is with that transaction's id, that has committed."""

    tenant_id: str
    event_id: str


@dataclass(frozen=True)
class StoreResult:
    """What became of a group: stored + duplicate = its rows; conflict is the part of duplicate with another payload.

    `xid` is the transaction that stored it, and `witness` one of the new events, if any was; `dropped` is the number of
    dead letters that had to go for new ones.
    """

    stored: int
    duplicate: int
    conflict: int
    xid: int | None = field(default=None, compare=False)
    witness: Witness | None = field(default=None, compare=False)
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
    begin: bool = False,
    booked: bool = False,
    cap: Cap = DEFAULT_CAP,
) -> StoreResult:
    """Do what `store` does within the caller's transaction.

    With `begin`, in a transaction that is begun here, on a connection that `prepare_to_begin` has seen; the caller
    commits it, or rolls it back when this raises.
    `letters` are refused events to keep; they are booked as rejected, beside those that `rejected` counts.
    `receipt` says what this transaction takes out of a spool. `booked`: an earlier transaction has stored and booked
    these events; should it have lost some after all, those are stored and booked. Raises ReceiptError.
    """
    rows = any(lot.rows for lot in lots)
    if begin and (receipt is not None or not rows):
        connection.execute("BEGIN")
        begin = False
    if receipt is not None:
        _sign(connection, receipt)
    refused = Counter(rejected or {})
    refused.update(LedgerKey(letter.tenant_id, letter.received_at.astimezone(UTC).date()) for letter in letters)
    bookings = stage_and_store(connection, lots, begin=begin, booked=booked) if rows else []
    received = sum(booking.received for booking in bookings)
    stored = sum(booking.stored for booking in bookings)
    conflict: Counter[LedgerKey] = Counter()
    if stored < received:
        found = connection.execute(statement("ingest/count_conflicts")).fetchall()
        conflict.update({LedgerKey(tenant_id, day): count for tenant_id, day, count in found})
    if any(may_hold_visits(lot.rows) for lot in lots):
        count_visits(connection)
    for key in sorted(refused.keys() | conflict.keys()):
        connection.execute(
            statement("ingest/add_to_ledger"),
            {**key._asdict(), "conflict": conflict[key], "rejected": refused[key]},
        )
    if any(may_hold_campaign_events(lot.rows) for lot in lots):
        count_campaign_events(connection)  # after all that is booked by slot, before the letters: one order for all
    book(connection, not_kept=rejected)
    dropped = keep(connection, letters, cap)  # after the ledger, as in a replay: all writers lock in one order
    witnesses = (Witness(booking.tenant_id, booking.witness) for booking in bookings if booking.witness)
    return StoreResult(
        stored,
        received - stored,
        conflict.total(),
        bookings[0].xid if bookings else None,
        next(witnesses, None),
        dropped,
    )


def transaction_status(connection: psycopg.Connection, xid: int, witness: Witness | None) -> str | None:
    """Return what became of a transaction of `write`: committed, aborted, in progress; None when it is too old to tell.

    Exact even when the server crashed meanwhile and gave the id to another transaction, as long as there is a witness.
    """
    tenant_id, event_id = witness or (None, None)
    parameters = {"xid": str(xid), "tenant_id": tenant_id, "event_id": event_id}
    row = connection.execute(statement("ingest/transaction_status"), parameters).fetchone()
    return None if row is None else row[0]


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


def _sign(connection: psycopg.Connection, receipt: Receipt) -> None:
    """Sign before anything else: whoever is at the same groups, or died while it committed them, is waited for."""
    signed = connection.execute(
        statement("ingest/sign_receipt"),
        {"spool_id": receipt.spool_id, "before": receipt.before, "seq": receipt.seq},
    ).fetchone()
    if signed is None:
        raise ReceiptError
