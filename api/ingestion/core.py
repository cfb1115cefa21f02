"""The ingestion core: every protocol hands its batches here, and gets them back when they are committed.

Batches that wait together are stored in one transaction (group commit). A group that fails because of one of its
events is stored request by request, then event by event, so that nobody pays for a neighbour. What is acknowledged is
committed; what is not may be sent again, since event ids make storing idempotent.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors

from api.errors import DatabaseUnavailableError, OverloadedError
from api.ingestion.batch import EventBatch
from api.request_log import describe
from pipeline.database import connect
from pipeline.event_store import LedgerKey, store

FLUSHERS = 2
GROUP_ROWS = 5_000
QUEUE_BYTES = 64 * 2**20
BATCH_OVERHEAD_BYTES = 2_000
ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 1.5
ATTEMPTS = 5
RETRYABLE = (errors.DeadlockDetected, errors.SerializationFailure)
UNAVAILABLE = (psycopg.OperationalError, errors.ReadOnlySqlTransaction)


@dataclass(frozen=True)
class _Waiting:
    batch: EventBatch
    answer: asyncio.Future[EventBatch]
    loop: asyncio.AbstractEventLoop

    @property
    def size(self) -> int:
        return self.batch.size + BATCH_OVERHEAD_BYTES

    def resolve(self, outcome: EventBatch | Exception) -> None:
        """Wake the request up; called from a flusher's thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(_settle, self.answer, outcome)


class IngestionCore:
    """Group committer of one API process: a bounded queue, and threads that store what waits in it."""

    def __init__(self, database_url: str | None, log: Any, *, queue_bytes: int = QUEUE_BYTES) -> None:  # noqa: ANN401
        self._database_url = database_url
        self._log = log
        self._queue_bytes = queue_bytes
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._closing = False
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._flush_forever, daemon=True) for _ in range(FLUSHERS)]

    def start(self) -> None:
        """Start the flushers; they connect when there is something to store."""
        for thread in self._threads:
            thread.start()

    def close(self, timeout: float = 20.0) -> None:
        """Refuse new batches, store those that wait, and return when that is done or `timeout` seconds are over."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0))

    async def submit(self, batch: EventBatch) -> EventBatch:
        """Store a batch and return it once committed; events the database refused are refused in the result.

        Raises DatabaseUnavailableError when it could not be stored within 10 s or its fate is unknown, OverloadedError
        when too much waits already. Either way the client may repeat it: event ids keep it from being stored twice.
        """
        if self._database_url is None:
            raise DatabaseUnavailableError
        loop = asyncio.get_running_loop()
        waiting = _Waiting(batch, loop.create_future(), loop)
        with self._changed:
            if self._closing or self._queued + waiting.size > self._queue_bytes:
                raise OverloadedError
            self._queue.append(waiting)
            self._queued += waiting.size
            self._changed.notify()
        try:
            return await asyncio.wait_for(waiting.answer, ANSWER_SECONDS)
        except TimeoutError as error:
            raise DatabaseUnavailableError from error

    def _flush_forever(self) -> None:
        flusher = _Flusher(self._database_url or "")
        while group := self._take_group():
            try:
                flusher.store_group(group)
            except Exception as error:
                unavailable = isinstance(error, UNAVAILABLE)
                self._log.error("events not stored", requests=len(group), **describe(error))
                for waiting in group:
                    waiting.resolve(DatabaseUnavailableError() if unavailable else error)
                if unavailable:
                    self._refuse_waiting()
        flusher.disconnect()

    def _take_group(self) -> list[_Waiting]:
        """Wait for batches and take as many as make a group; nothing once closing and empty."""
        with self._changed:
            while not self._queue and not self._closing:
                self._changed.wait()
            group: list[_Waiting] = []
            rows = 0
            while self._queue and (not group or rows + len(self._queue[0].batch.rows) <= GROUP_ROWS):
                waiting = self._queue.popleft()
                self._queued -= waiting.size
                if waiting.answer.cancelled():
                    continue
                rows += len(waiting.batch.rows)
                group.append(waiting)
        return group or (self._take_group() if not self._closing or self._queue else group)

    def _refuse_waiting(self) -> None:
        """The database is away: those who wait learn it now rather than one attempt after the other."""
        with self._changed:
            refused = list(self._queue)
            self._queue.clear()
            self._queued = 0
        for waiting in refused:
            waiting.resolve(DatabaseUnavailableError())


class _Flusher:
    """One thread's connection, and how a group gets stored over it."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection: psycopg.Connection | None = None

    def store_group(self, group: Sequence[_Waiting]) -> None:
        """Store a group and answer each of its requests; raises what concerns all of them."""
        try:
            self._store(group)
        except UNAVAILABLE:
            raise
        except (psycopg.Error, UnicodeError, ValueError):
            for waiting in group:
                waiting.resolve(self._store_alone(waiting))
        else:
            for waiting in group:
                waiting.resolve(waiting.batch)

    def disconnect(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _store_alone(self, waiting: _Waiting) -> EventBatch | Exception:
        """Store one request of a failed group; of its events, refuse those that fail on their own."""
        batch = waiting.batch
        try:
            self._store([waiting])
            return batch
        except UNAVAILABLE:
            return DatabaseUnavailableError()
        except (psycopg.Error, UnicodeError, ValueError):
            pass
        refused = set()
        try:
            for position, row in enumerate(batch.rows):
                single = EventBatch(batch.tenant_id, batch.received_at, rows=[row], indexes=[0])
                try:
                    self._store([_Waiting(single, waiting.answer, waiting.loop)])
                except UNAVAILABLE:
                    raise
                except (psycopg.Error, UnicodeError, ValueError):
                    refused.add(position)
            rejections = EventBatch(batch.tenant_id, batch.received_at).ledger_key
            self._transact([], Counter({rejections: len(batch.errors) + len(refused)}))
        except UNAVAILABLE:
            return DatabaseUnavailableError()
        except psycopg.Error as error:
            return error
        return batch.refuse_rows(frozenset(refused))

    def _store(self, group: Sequence[_Waiting]) -> None:
        rejected: Counter[LedgerKey] = Counter()
        for waiting in group:
            if waiting.batch.errors:
                rejected[waiting.batch.ledger_key] += len(waiting.batch.errors)
        self._transact([row for waiting in group for row in waiting.batch.rows], rejected)

    def _transact(self, rows: list[Any], rejected: Counter[LedgerKey]) -> None:
        """Store in one transaction; a deadlock is tried again, a lost connection once more on a new one."""
        deadline = time.monotonic() + CONNECT_SECONDS
        for attempt in range(ATTEMPTS):
            reused = self._connection is not None
            try:
                if self._connection is None:
                    self._connection = connect(self._database_url, application="tidemark-ingest", autocommit=True)
                store(self._connection, rows, rejected)
                return
            except psycopg.OperationalError as error:
                lost = self._connection is None or self._connection.closed
                if lost:
                    self.disconnect()
                again = reused and time.monotonic() < deadline if lost else isinstance(error, RETRYABLE)
                if not again or attempt == ATTEMPTS - 1:
                    raise
            except BaseException:
                if self._connection is not None and self._connection.closed:
                    self.disconnect()
                raise


def _settle(answer: asyncio.Future[EventBatch], outcome: EventBatch | Exception) -> None:
    if answer.done():
        return
    if isinstance(outcome, EventBatch):
        answer.set_result(outcome)
    else:
        answer.set_exception(outcome)
