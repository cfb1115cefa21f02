"""Writes events into Postgres: the one place that does, for every protocol, the import and any replay.

One group of events is one transaction: staged by COPY, inserted once per (tenant, event_id), stamped with the user's
assignments, and booked in the ledger. When `store` returns inside a committed transaction, the events are durable.
Validation is the caller's: rows given here must be storable.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple

import psycopg

from pipeline.statements import statement

LEDGER_SLOTS = 16


class EventRow(NamedTuple):
    """One event, ready to store; fields in the order of `sql/ingest/copy_incoming_events.sql`.

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
class StoreResult:
    """What became of a group: stored + duplicate = its rows; conflict is the part of duplicate with another payload."""

    stored: int
    duplicate: int
    conflict: int


def store(
    connection: psycopg.Connection, rows: Sequence[EventRow], rejected: Mapping[LedgerKey, int] | None = None
) -> StoreResult:
    """Store a group of events and book it, in one transaction that is committed on return.

    Idempotent per (tenant_id, event_id): the first payload stays. `rejected` counts events the caller refused, so
    that the ledger balances. Raises psycopg.Error (nothing is stored then); the caller decides whether to retry.
    """
    received = Counter(LedgerKey(row.tenant_id, row.received_at.astimezone(UTC).date()) for row in rows)
    stored: Counter[LedgerKey] = Counter()
    conflict: Counter[LedgerKey] = Counter()
    refused = Counter(rejected or {})
    with connection.transaction():
        if rows:
            _stage(connection, rows)
            stored = _counts(connection, "ingest/store_events")
            if stored.total() < len(rows):
                conflict = _counts(connection, "ingest/count_conflicts")
        for key in sorted(received.keys() | refused.keys()):
            connection.execute(
                statement("ingest/add_to_ledger"),
                {
                    **key._asdict(),
                    "slot": threading.get_native_id() % LEDGER_SLOTS,
                    "received": received[key] + refused[key],
                    "stored": stored[key],
                    "duplicate": received[key] - stored[key],
                    "conflict": conflict[key],
                    "rejected": refused[key],
                },
            )
    return StoreResult(stored.total(), len(rows) - stored.total(), conflict.total())


def _stage(connection: psycopg.Connection, rows: Sequence[EventRow]) -> None:
    connection.execute(statement("ingest/create_incoming_events"))
    with connection.cursor().copy(statement("ingest/copy_incoming_events")) as copy:
        for position, row in enumerate(rows):
            copy.write_row((position, *row))


def _counts(connection: psycopg.Connection, name: str) -> Counter[LedgerKey]:
    rows = connection.execute(statement(name)).fetchall()
    return Counter({LedgerKey(tenant_id, day): count for tenant_id, day, count in rows})
