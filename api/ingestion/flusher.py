"""Stores a group of requests in one transaction, however often that takes.

A group that fails because of some of its events is stored without those, so that nobody pays for a neighbour. What
Postgres has not stored after two seconds is given back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from api import telemetry
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.delivery import Delivery
from api.ingestion.loop_connection import LoopConnection, in_thread
from api.ingestion.refused import dead_letters
from api.request_log import describe
from pipeline.dead_letters import Cap, DeadLetter
from pipeline.event_store import Lot, find_unstorable, prepare_to_begin, refuses_events, write
from pipeline.statements import statement

# Larger ones store hardly more per second, and keep the event loop for longer at a time.
GROUP_EVENTS = 2_000
# A group should take no longer than this: a slow server gets smaller ones.
GROUP_SECONDS = 0.5
BATCH_OVERHEAD_BYTES = 2_000
ANSWER_SECONDS = 2.0
CONNECT_SECONDS = 2
ATTEMPTS = 5
RETRYABLE = (errors.DeadlockDetected, errors.SerializationFailure)


class NotStoredError(Exception):
    """Postgres did not store the batch in time; `transaction` may have, if there is one."""

    def __init__(self, transaction: int | None = None) -> None:
        super().__init__("not stored")
        self.transaction = transaction


class Waiting(msgspec.Struct, frozen=True):
    """A request that waits for its COMMIT; `since` is in seconds of time.monotonic()."""

    delivery: Delivery
    batch: EventBatch
    answer: asyncio.Future[EventBatch]
    since: float

    @property
    def size(self) -> int:
        """Bytes that it counts in the queue."""
        return len(self.delivery.body) + BATCH_OVERHEAD_BYTES

    @property
    def events(self) -> int:
        """Events that it counts in a group: refused ones are work as well."""
        return len(self.batch.rows) + len(self.batch.errors)


Outcome = tuple[Waiting, EventBatch | NotStoredError]


class Flusher:
    """A connection, and how a group gets stored over it; for functions that `run` runs."""

    def __init__(self, database_url: str, availability: Availability, log: Any, cap: Cap) -> None:  # noqa: ANN401
        self._database_url = database_url
        self._availability = availability
        self._log = log
        self._cap = cap
        self._connection: LoopConnection | None = None
        self.transaction: int | None = None
        self.events_limit = GROUP_EVENTS

    def store(self, group: Sequence[Waiting]) -> list[Outcome]:
        """Store a group; returns what becomes of each of its requests."""
        started = time.monotonic()
        self.transaction = None
        try:
            batches = self._store(group, started + ANSWER_SECONDS)
        except Exception as error:
            if isinstance(error, psycopg.OperationalError) and not isinstance(error, RETRYABLE):
                self._availability.lost()
            telemetry.commit_failed("unavailable")
            self._log.error("events not stored", requests=len(group), **describe(error))
            self.events_limit = max(self.events_limit // 4, 1)
            return [(waiting, NotStoredError(self.transaction)) for waiting in group]
        seconds = time.monotonic() - started
        rows = sum(len(batch.rows) for batch in batches)
        self._pace(sum(waiting.events for waiting in group), seconds)
        telemetry.group_committed(len(group), rows, seconds)
        return list(zip(group, batches, strict=True))

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _pace(self, events: int, seconds: float) -> None:
        if seconds > GROUP_SECONDS:
            self.events_limit = max(int(events * GROUP_SECONDS / seconds), 1)
        else:
            self.events_limit = min(self.events_limit * 2, GROUP_EVENTS)

    def _store(self, group: Sequence[Waiting], deadline: float) -> list[EventBatch]:
        """Store in one transaction; a deadlock is tried again, a lost connection once more on a new one."""
        batches = [waiting.batch for waiting in group]
        for attempt in range(ATTEMPTS):
            reused = self._connection is not None
            try:
                connection = self._connect(deadline)
                if not self._is_committed(connection):
                    self._write(connection, group, batches)
                return batches
            except (psycopg.Error, UnicodeError) as error:
                lost = self._connection is None or self._connection.closed
                if lost:
                    self.disconnect()
                if refuses_events(error) and not lost:
                    batches = self._refuse_unstorable(connection, batches)
                elif not (reused if lost else isinstance(error, RETRYABLE)):
                    raise
                if attempt == ATTEMPTS - 1 or time.monotonic() >= deadline:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _connect(self, deadline: float) -> LoopConnection:
        if self._connection is None:
            connection = in_thread(
                LoopConnection.open,
                self._database_url,
                application="tidemark-ingest",
                autocommit=True,
                connect_seconds=CONNECT_SECONDS,
            )
            connection.deadline = deadline
            try:
                prepare_to_begin(connection)
            except psycopg.Error:
                connection.close()
                raise
            self._connection = connection
        self._connection.deadline = deadline
        return self._connection

    def _is_committed(self, connection: LoopConnection) -> bool:
        """Ask what became of the transaction of the attempt before, if its connection broke at the end."""
        if self.transaction is None:
            return False
        row = connection.execute(statement("ingest/transaction_status"), {"xid": str(self.transaction)}).fetchone()
        if row == ("committed",):
            return True
        if row == ("in progress",):
            raise psycopg.OperationalError("the transaction of a broken connection has not ended yet")
        self.transaction = None
        return False

    def _write(self, connection: LoopConnection, group: Sequence[Waiting], batches: Sequence[EventBatch]) -> None:
        lots = [Lot(batch.rows) for batch in batches]
        letters = [letter for waiting, batch in zip(group, batches, strict=True) for letter in _letters(waiting, batch)]
        try:
            result = write(connection, lots, letters, begin=True, cap=self._cap)
            self.transaction = result.xid
            connection.commit()
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        self.transaction = None
        telemetry.events_answered(
            group[0].delivery.protocol, result.stored, result.duplicate, result.conflict, len(letters)
        )
        telemetry.dead_letters(len(letters), result.dropped)

    def _refuse_unstorable(self, connection: LoopConnection, batches: Sequence[EventBatch]) -> list[EventBatch]:
        """Refuse the events that Postgres cannot hold, should validation ever have let one through."""
        telemetry.commit_failed("poison")
        self.transaction = None
        return [batch.refuse_rows(find_unstorable(connection, batch.rows)) for batch in batches]


def _letters(waiting: Waiting, batch: EventBatch) -> list[DeadLetter]:
    delivery = waiting.delivery
    return dead_letters(delivery.protocol, delivery.tenant_id, delivery.received_at, delivery.body, batch.errors)
