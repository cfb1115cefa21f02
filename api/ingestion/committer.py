"""Group commit: batches that wait together are stored in one transaction, and each is answered after its COMMIT.

A group that fails because of some of its events is stored without those, so that nobody pays for a neighbour. Nothing
waits longer than a few seconds: what Postgres has not stored by then is given back, to be kept elsewhere.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
import psycopg
from psycopg import errors

from api import telemetry
from api.errors import OverloadedError
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.delivery import Delivery
from api.ingestion.refused import dead_letters
from api.request_log import describe
from pipeline.database import APP_ROLE, Connection, connect
from pipeline.ingestion.dead_letters import Cap, DeadLetter
from pipeline.ingestion.event_store import (
    Lot,
    Witness,
    find_unstorable,
    prepare_to_begin,
    refuses_events,
    transaction_status,
    write,
)

GROUP_EVENTS = 5_000
# One thread stores what comes while it stores: that makes the largest groups, and the fewest transactions. A second one
# helps once this many events wait.
BACKLOG_EVENTS = 200
# A transaction costs as much as dozens of events do. So a group waits for the requests that were here when the last one
# ended, waiting or just answered: clients that have their answers come back within a moment. It waits for so many of
# them at most (with twice as many, one half is read while the other is stored), for no longer than this, nor than this
# many times what storing the last group took; and who is alone waits for nobody.
GATHER_REQUESTS = 16
GATHER_SECONDS = 0.008
GATHER_SHARE = 2.0
# A group should take no longer than this: a slow server gets smaller ones.
GROUP_SECONDS = 0.5
QUEUE_BYTES = 64 * 2**20
BATCH_OVERHEAD_BYTES = 2_000
ANSWER_SECONDS = 2.0
WATCH_SECONDS = 0.25
CONNECT_SECONDS = 2
ATTEMPTS = 5
RETRYABLE = (errors.DeadlockDetected, errors.SerializationFailure)


class NotStoredError(Exception):
    """Postgres did not store the batch in time; `transaction` may have, if there is one."""

    def __init__(self, transaction: int | None = None, witness: Witness | None = None) -> None:
        super().__init__("not stored")
        self.transaction = transaction
        self.witness = witness


class _Waiting(msgspec.Struct, frozen=True):
    delivery: Delivery
    batch: EventBatch
    answer: asyncio.Future[EventBatch]
    since: float

    @property
    def size(self) -> int:
        return len(self.delivery.body) + BATCH_OVERHEAD_BYTES

    @property
    def events(self) -> int:
        """Events that it counts in a group: refused ones are rows, too, of another table."""
        return len(self.batch.rows) + len(self.batch.errors)


_Outcome = tuple[_Waiting, EventBatch | NotStoredError]


class GroupCommitter:
    """A bounded queue, and threads that store what waits in it."""

    def __init__(
        self, database_url: str, availability: Availability, log: Any, cap: Cap, *, queue_bytes: int = QUEUE_BYTES  # noqa: ANN401
    ) -> None:  # fmt: skip
        self._database_url = database_url
        self._availability = availability
        self._log = log
        self._cap = cap
        self._queue_bytes = queue_bytes
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._queued_events = 0
        self._closing = False
        self._lock = threading.Lock()
        self._expected = 0
        self._arrived = threading.Condition(self._lock)
        self._backlog = threading.Condition(self._lock)
        self._threads = [
            threading.Thread(target=self._flush_forever, args=(self._wait_for_gathered,), daemon=True),
            threading.Thread(target=self._flush_forever, args=(self._wait_for_backlog,), daemon=True),
        ]

    def start(self) -> None:
        """Start the flushers and the watch over waiting times; to be called from the event loop."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()
        self._watch()

    def close(self, timeout: float = 20.0) -> None:
        """Refuse new batches, store those that wait, and return when that is done or `timeout` seconds are over.

        What waits then still is given back. Not to be called from the event loop.
        """
        with self._lock:
            self._closing = True
            self._arrived.notify_all()
            self._backlog.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))
        with self._lock:
            left: list[_Outcome] = [(self._take(), NotStoredError()) for _ in range(len(self._queue))]
        self._loop.call_soon_threadsafe(_settle, left)

    async def commit(self, delivery: Delivery, batch: EventBatch) -> EventBatch:
        """Store a batch and return it once committed; events the database refused are refused in the result.

        Raises NotStoredError when Postgres is away or does not answer in time, OverloadedError when too much waits.
        """
        waiting = _Waiting(delivery, batch, self._loop.create_future(), time.monotonic())
        with self._lock:
            if self._closing or self._queued + waiting.size > self._queue_bytes:
                raise OverloadedError
            self._queue.append(waiting)
            self._queued += waiting.size
            self._queued_events += waiting.events
            if self._is_gathered():
                self._arrived.notify()
            if self._queued_events >= BACKLOG_EVENTS:
                self._backlog.notify()
        return await waiting.answer

    def _watch(self) -> None:
        """Give back what has waited too long, while the flushers are busy with a slow or frozen server."""
        late: list[_Outcome] = []
        with self._lock:
            while self._queue and self._queue[0].since < time.monotonic() - ANSWER_SECONDS:
                late.append((self._take(), NotStoredError()))
            telemetry.queue_is(len(self._queue), self._queued)
        _settle(late)
        if any(thread.is_alive() for thread in self._threads):
            self._loop.call_later(WATCH_SECONDS, self._watch)

    def _flush_forever(self, wait: Callable[[float], None]) -> None:
        flusher = _Flusher(self._database_url, self._availability, self._log, self._cap)
        while group := self._take_group(wait, flusher):
            outcomes = flusher.store(group)
            with self._lock:  # before the answers leave: who has one may be back already
                self._expected = len(group) + len(self._queue)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, outcomes)
        flusher.disconnect()

    def _take_group(self, wait: Callable[[float], None], flusher: _Flusher) -> list[_Waiting]:
        """Wait for batches and take as many of one protocol as make a group; nothing once closing and empty."""
        with self._lock:
            while not self._closing:
                wait(flusher.seconds)
                if self._queue:
                    break
            group: list[_Waiting] = []
            events = 0
            while self._queue and (not group or self._fits(group[0], flusher.events_limit - events)):
                waiting = self._take()
                events += waiting.events
                group.append(waiting)
        return group

    def _wait_for_gathered(self, seconds: float) -> None:
        """Wait for the requests to be expected, a moment that follows from the `seconds` that the last group took."""
        self._arrived.wait_for(self._is_gathered, min(GATHER_SECONDS, GATHER_SHARE * seconds))
        self._expected = 0
        self._arrived.wait_for(self._is_gathered)

    def _is_gathered(self) -> bool:
        enough = max(min(self._expected, GATHER_REQUESTS), 1)
        return len(self._queue) >= enough or self._queued_events >= BACKLOG_EVENTS or self._closing

    def _wait_for_backlog(self, _: float) -> None:
        self._backlog.wait_for(lambda: self._queued_events >= BACKLOG_EVENTS or self._closing)

    def _take(self) -> _Waiting:
        waiting = self._queue.popleft()
        self._queued -= waiting.size
        self._queued_events -= waiting.events
        return waiting

    def _fits(self, first: _Waiting, room: int) -> bool:
        """Whether the next of the queue goes into the group of `first`, which has room for so many events."""
        following = self._queue[0]
        return following.events <= room and following.delivery.protocol == first.delivery.protocol


class _Flusher:
    """One thread's connection, and how a group gets stored over it."""

    def __init__(self, database_url: str, availability: Availability, log: Any, cap: Cap) -> None:  # noqa: ANN401
        self._database_url = database_url
        self._availability = availability
        self._log = log
        self._cap = cap
        self._connection: Connection | None = None
        self._transaction: int | None = None
        self._witness: Witness | None = None
        self.events_limit = GROUP_EVENTS
        self.seconds = 0.0  # that the last group took

    def store(self, group: Sequence[_Waiting]) -> list[_Outcome]:
        """Store a group; returns what becomes of each of its requests."""
        started = time.monotonic()
        self._transaction = self._witness = None
        try:
            batches = self._store(group, started + ANSWER_SECONDS)
        except Exception as error:
            if isinstance(error, psycopg.OperationalError) and not isinstance(error, RETRYABLE):
                self._availability.lost()
            telemetry.commit_failed("unavailable")
            self._log.error("events not stored", requests=len(group), **describe(error))
            self.events_limit = max(self.events_limit // 4, 1)
            return [(waiting, NotStoredError(self._transaction, self._witness)) for waiting in group]
        self.seconds = seconds = time.monotonic() - started
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

    def _store(self, group: Sequence[_Waiting], deadline: float) -> list[EventBatch]:
        """Store in one transaction; a deadlock is tried again, a lost connection once more on a new one."""
        batches = [waiting.batch for waiting in group]
        for attempt in range(ATTEMPTS):
            reused = self._connection is not None
            try:
                connection = self._connect(deadline)
                connection.scope(waiting.delivery.tenant_id for waiting in group)
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

    def _connect(self, deadline: float) -> Connection:
        if self._connection is None:
            connection = connect(
                self._database_url,
                application="tidemark-ingest",
                autocommit=True,
                connect_seconds=CONNECT_SECONDS,
                role=APP_ROLE,
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

    def _is_committed(self, connection: Connection) -> bool:
        """Ask what became of the transaction of the attempt before, if its connection broke at the end."""
        if self._transaction is None:
            return False
        status = transaction_status(connection, self._transaction, self._witness)
        if status == "committed":
            return True
        if status == "in progress":
            raise psycopg.OperationalError("the transaction of a broken connection has not ended yet")
        self._transaction = None
        return False

    def _write(self, connection: Connection, group: Sequence[_Waiting], batches: Sequence[EventBatch]) -> None:
        lots = [Lot(batch.rows) for batch in batches]
        letters = [letter for waiting, batch in zip(group, batches, strict=True) for letter in _letters(waiting, batch)]
        try:
            result = write(connection, lots, letters, begin=True, cap=self._cap)
            self._transaction, self._witness = result.xid, result.witness
            connection.commit()
        except BaseException:
            if not connection.closed:
                connection.rollback()
            raise
        self._transaction = None
        telemetry.events_answered(
            group[0].delivery.protocol, result.stored, result.duplicate, result.conflict, len(letters)
        )
        telemetry.dead_letters(len(letters), result.dropped)

    def _refuse_unstorable(self, connection: Connection, batches: Sequence[EventBatch]) -> list[EventBatch]:
        """Refuse the events that Postgres cannot hold, should validation ever have let one through."""
        telemetry.commit_failed("poison")
        self._transaction = None
        return [batch.refuse_rows(find_unstorable(connection, batch.rows)) for batch in batches]


def _letters(waiting: _Waiting, batch: EventBatch) -> list[DeadLetter]:
    delivery = waiting.delivery
    return dead_letters(delivery.protocol, delivery.tenant_id, delivery.received_at, delivery.body, batch.errors)


def _settle(outcomes: Sequence[_Outcome]) -> None:
    """Wake the requests up, in the event loop."""
    for waiting, outcome in outcomes:
        if waiting.answer.done():
            continue
        if isinstance(outcome, EventBatch):
            waiting.answer.set_result(outcome)
        else:
            waiting.answer.set_exception(outcome)
