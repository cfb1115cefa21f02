"""The client's ledger of what it sent and what was acknowledged, and the comparison with what Postgres holds.

Every event carries a key that no other has: `key` in the properties of mobile events, the path of retail events. So
doubles are found even if they got another event_id.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import psycopg

from tests.pipeline.ingestion.retail_world import counted_stats, read_stats


class Request(NamedTuple):
    """One request. `keys` are those of its events that are to be stored, `events` counts the refused ones too."""

    number: int
    path: str
    body: bytes
    keys: tuple[str, ...]
    events: int


class ClientLedger:
    """A file of lines: `> number events key...` before an attempt, `< number` after an acknowledgement."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        self._writing = threading.Lock()
        self._syncing = threading.Lock()
        self._written = self._synced = 0
        self._numbers = itertools.count(1)

    def next_number(self) -> int:
        """The number of another request: no two of a ledger have the same, whoever sends them."""
        return next(self._numbers)

    def close(self) -> None:
        self._file.close()

    def attempts(self, request: Request) -> None:
        """Note that a request is about to be sent, for the first time or again."""
        with self._writing:
            self._file.write(f"> {request.number} {request.events} {' '.join(request.keys)}\n")

    def acknowledged(self, request: Request) -> None:
        """Note an acknowledgement; it counts from the return on, when it is on the disk."""
        with self._writing:
            self._file.write(f"< {request.number}\n")
            self._written += 1
            mine = self._written
        with self._syncing:
            if self._synced >= mine:  # by the one before, who took our line along
                return
            with self._writing:
                self._file.flush()
                covered = self._written
            os.fsync(self._file.fileno())
            self._synced = covered


class Account:
    """What a ledger file says."""

    def __init__(self, path: Path) -> None:
        self.sent: set[str] = set()
        self.acknowledged: set[str] = set()
        self.attempted_events = self.acknowledged_events = 0
        requests: dict[str, tuple[int, list[str]]] = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            kind, number, *rest = line.split(" ")
            if kind == ">":
                keys = [key for key in rest[1:] if key]
                requests[number] = int(rest[0]), keys
                self.sent.update(keys)
                self.attempted_events += int(rest[0])
            else:
                events, keys = requests[number]
                self.acknowledged.update(keys)
                self.acknowledged_events += events


@dataclass(frozen=True)
class Verdict:
    """Counts of events. missing: acknowledged and not stored; doubled: stored more than once; foreign: never sent."""

    sent: int
    acknowledged: int
    rows: int
    missing: int
    doubled: int
    foreign: int
    received: int
    stored: int
    duplicate: int
    rejected: int
    attempted_events: int
    acknowledged_events: int
    wrong_statistics: int

    @property
    def problems(self) -> list[str]:
        """What is wrong; nothing when every promise was kept."""
        wrong = [f"{name}: {count}" for name in ("missing", "doubled", "foreign") if (count := getattr(self, name))]
        if self.received != self.stored + self.duplicate + self.rejected or self.stored != self.rows:
            wrong.append("the ledger does not balance")
        if not self.acknowledged_events <= self.received <= self.attempted_events:
            wrong.append("the ledger counts other events than were sent")
        if self.wrong_statistics:
            wrong.append(f"{self.wrong_statistics} statistics of sites differ from their events")
        return wrong

    def __str__(self) -> str:
        return ", ".join(f"{field.name} {getattr(self, field.name)}" for field in fields(self))


def stored_keys(connection: psycopg.Connection) -> Counter[str]:
    """How often each key is stored."""
    rows = connection.execute("SELECT coalesce(properties ->> 'key', properties ->> 'path', '') FROM event_logs")
    return Counter(key for (key,) in rows)


def judge(connection: psycopg.Connection, ledger: Path) -> Verdict:
    """Compare a client's ledger with the database, which everything must have reached by now."""
    account = Account(ledger)
    stored = stored_keys(connection)
    booked = connection.execute(
        "SELECT coalesce(sum(received), 0)::bigint, coalesce(sum(stored), 0)::bigint,"
        " coalesce(sum(duplicate), 0)::bigint, coalesce(sum(rejected), 0)::bigint FROM ingestion_ledger"
    ).fetchone()
    assert booked is not None
    statistics = counted_stats(connection)
    return Verdict(
        sent=len(account.sent),
        acknowledged=len(account.acknowledged),
        rows=stored.total(),
        missing=len(account.acknowledged - stored.keys()),
        doubled=sum(count > 1 for count in stored.values()),
        foreign=len(stored.keys() - account.sent),
        received=booked[0],
        stored=booked[1],
        duplicate=booked[2],
        rejected=booked[3],
        attempted_events=account.attempted_events,
        acknowledged_events=account.acknowledged_events,
        wrong_statistics=sum(
            read_stats(connection, site, day, tenant) != stats for (tenant, site, day), stats in statistics.items()
        ),
    )
