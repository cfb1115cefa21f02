"""Dead letters: events refused within an accepted request, kept as sent until somebody replays them.

Owns the table, its cap per tenant and the account of what left it. Letters are kept in the transaction that books
their events as rejected, so that ledger and letters agree. Reading a letter as an event is the protocol's business.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, TypeVar

import psycopg

from pipeline.settings import Settings
from pipeline.statements import statement

MAX_REASON_CHARACTERS = 500
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# A tenant and a UTC day of receipt, as event_store.LedgerKey.
Account = TypeVar("Account", bound=tuple[str, date])


class DeadLetter(NamedTuple):
    """One refused event; its fields are columns of `dead_letters`.

    `envelope` is a JSON object: the fields that the events of its request share. `event` is the event, byte by byte as
    it was sent, and `event_index` its place in the request. `received_at` is aware.
    """

    tenant_id: str
    received_at: datetime
    protocol: str
    event_index: int
    reason: str
    envelope: bytes
    event: bytes

    @property
    def size(self) -> int:
        """Bytes it counts against the cap."""
        return len(self.envelope) + len(self.event)


class KeptLetter(NamedTuple):
    """A letter and the id it is kept under."""

    id: int
    letter: DeadLetter


class Selection(NamedTuple):
    """Which letters to replay: those with these ids, those of a tenant, or all."""

    ids: tuple[int, ...] | None = None
    tenant_id: str | None = None


class TenantAccount(NamedTuple):
    """What became of a tenant's refused events: letters that are there with their bytes, and those that are not."""

    tenant_id: str
    letters: int
    bytes: int
    replayed: int
    dropped: int
    not_kept: int


@dataclass(frozen=True)
class Cap:
    """How much each tenant may keep; beyond either figure the oldest letters are dropped, and counted."""

    letters: int = 10_000
    bytes: int = 64 * 2**20

    @classmethod
    def of(cls, settings: Settings) -> Cap:
        """Return the cap that the settings ask for."""
        return cls(settings.dead_letters_per_tenant, settings.dead_letter_bytes_per_tenant)


DEFAULT_CAP = Cap()


def keep(connection: psycopg.Connection, letters: Sequence[DeadLetter], cap: Cap = DEFAULT_CAP) -> int:
    """Keep refused events, drop what is then beyond the cap, and return how many were dropped.

    Belongs into the transaction that books the events as rejected, after its other writes. Writers do not wait for
    each other's drops: while several write at once, a tenant may have a little more than its cap.
    """
    if not letters:
        return 0
    storable = [letter._replace(reason=storable_reason(letter.reason)) for letter in letters]
    columns = dict(zip(DeadLetter._fields, map(list, zip(*storable, strict=True)), strict=True))
    connection.execute(statement("dead_letters/add_letters"), columns)
    added: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for letter in letters:
        added[letter.tenant_id] += 1
        sizes[letter.tenant_id] += letter.size
    dropped: Counter[tuple[str, date]] = Counter()
    for tenant_id in sorted(added):
        add_to_totals(connection, tenant_id, added[tenant_id], sizes[tenant_id])
        dropped.update(_drop_beyond(connection, tenant_id, cap))
    book(connection, dropped=dropped)
    return dropped.total()


def book(
    connection: psycopg.Connection,
    *,
    replayed: Mapping[Account, int] | None = None,
    dropped: Mapping[Account, int] | None = None,
    not_kept: Mapping[Account, int] | None = None,
) -> None:
    """Book refused events that are no letters (any more), by the tenant and UTC day that booked them as rejected.

    `not_kept` is for those that somebody else keeps, as an import does in its rejects file.
    """
    accounts: dict[tuple[str, date], Counter[str]] = defaultdict(Counter)
    for column, counts in {"replayed": replayed, "dropped": dropped, "not_kept": not_kept}.items():
        for (tenant_id, day), count in (counts or {}).items():
            accounts[tenant_id, day][column] += count
    for (tenant_id, day), found in sorted(accounts.items()):  # one order for all: no writer waits for one behind it
        connection.execute(
            statement("dead_letters/add_to_ledger"),
            {
                "tenant_id": tenant_id,
                "day": day,
                "replayed": found["replayed"],
                "dropped": found["dropped"],
                "not_kept": found["not_kept"],
            },
        )


def newest_id(connection: psycopg.Connection) -> int:
    """Return the id of the newest letter, 0 when there never was one."""
    row = connection.execute(statement("dead_letters/read_newest_id")).fetchone()
    return 0 if row is None else int(row[0])


def take(
    connection: psycopg.Connection, selection: Selection, after: int, upto: int, *, letters: int, size: int
) -> list[KeptLetter]:
    """Lock and return the next letters with ids above `after` up to `upto`, in order; none when none is left.

    At most `letters` of them and about `size` bytes, one at least. The lock lasts as long as the caller's transaction;
    letters that another one holds are passed over.
    """
    rows = connection.execute(
        statement("dead_letters/lock_letters"),
        {
            "after": after,
            "upto": upto,
            "ids": None if selection.ids is None else list(selection.ids),
            "tenant_id": selection.tenant_id,
            "letters": letters,
        },
    ).fetchall()
    taken: list[int] = []
    total = 0
    for letter_id, letter_size in rows:
        total += letter_size
        if taken and total > size:
            break
        taken.append(letter_id)
    return [_kept(row) for row in connection.execute(statement("dead_letters/read_letters"), {"ids": taken})]


def settle(
    connection: psycopg.Connection, replayed: Sequence[KeptLetter], refused: Sequence[tuple[KeptLetter, str]]
) -> None:
    """Remove the letters whose events are stored in this transaction, and note the reasons of those that stay.

    The letters must have been taken in this transaction. Belongs after its other writes.
    """
    for kept, reason in refused:
        connection.execute(statement("dead_letters/change_reason"), {"id": kept.id, "reason": storable_reason(reason)})
    if not replayed:
        return
    connection.execute(statement("dead_letters/remove_letters"), {"ids": [kept.id for kept in replayed]})
    letters = [kept.letter for kept in replayed]
    for tenant_id in sorted({letter.tenant_id for letter in letters}):
        sizes = [letter.size for letter in letters if letter.tenant_id == tenant_id]
        add_to_totals(connection, tenant_id, -len(sizes), -sum(sizes))
    book(connection, replayed=Counter((letter.tenant_id, utc_day(letter.received_at)) for letter in letters))


def find(
    connection: psycopg.Connection, *, tenant_id: str | None = None, reason: str | None = None, letters: int = 100
) -> tuple[int, list[KeptLetter]]:
    """Return how many letters fit, and the newest of them; `reason` is a part of theirs, in any case."""
    rows = connection.execute(
        statement("dead_letters/find_letters"), {"tenant_id": tenant_id, "reason": reason, "letters": letters}
    ).fetchall()
    return (rows[0][0] if rows else 0), [_kept(row[1:]) for row in rows]


def read_accounts(connection: psycopg.Connection, tenant_id: str | None = None) -> list[TenantAccount]:
    """Return what became of the refused events, by tenant."""
    rows = connection.execute(statement("dead_letters/read_accounts"), {"tenant_id": tenant_id})
    return [TenantAccount(*row) for row in rows]


def add_to_totals(connection: psycopg.Connection, tenant_id: str, letters: int, size: int) -> None:
    """Count letters that were added to a tenant's in this transaction; negative when they were removed."""
    connection.execute(
        statement("dead_letters/add_to_totals"),
        {"tenant_id": tenant_id, "letters": letters, "bytes": size},
    )


def storable_reason(reason: str) -> str:
    """Return a reason that Postgres can hold: it may quote what the event could not be stored for."""
    return _UNSTORABLE.sub("\ufffd", reason)[:MAX_REASON_CHARACTERS]


def utc_day(moment: datetime) -> date:
    """Return the day that an event received at a moment is booked on."""
    return moment.astimezone(UTC).date()


def _drop_beyond(connection: psycopg.Connection, tenant_id: str, cap: Cap) -> Counter[tuple[str, date]]:
    """Drop a tenant's oldest letters until its cap holds, or until the others are locked."""
    dropped: Counter[tuple[str, date]] = Counter()
    while _exceeds(connection, tenant_id, cap):
        rows = connection.execute(
            statement("dead_letters/drop_oldest"), {"tenant_id": tenant_id, "letters": cap.letters, "bytes": cap.bytes}
        ).fetchall()
        if not rows:
            break
        add_to_totals(connection, tenant_id, -sum(row[1] for row in rows), -sum(row[2] for row in rows))
        for day, letters, _ in rows:
            dropped[tenant_id, day] += letters
    return dropped


def _exceeds(connection: psycopg.Connection, tenant_id: str, cap: Cap) -> bool:
    row = connection.execute(statement("dead_letters/read_total"), {"tenant_id": tenant_id}).fetchone()
    return row is not None and (row[0] > cap.letters or row[1] > cap.bytes)


def _kept(row: tuple[Any, ...]) -> KeptLetter:
    return KeptLetter(row[0], DeadLetter(*row[1:]))
