"""Group commit: batches that wait together are stored in one transaction, and each is answered after its COMMIT.

Nothing waits longer than a few seconds: what Postgres has not stored by then is given back, to be kept elsewhere. All
of this happens on the event loop.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from api import telemetry
from api.errors import OverloadedError
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.delivery import Delivery
from api.ingestion.flusher import ANSWER_SECONDS, Flusher, NotStoredError, Outcome, Waiting
from api.ingestion.loop_connection import run
from pipeline.dead_letters import Cap

# One flusher stores what comes while it stores: that makes the largest groups, and the fewest transactions. A second
# one helps once this many events wait.
BACKLOG_EVENTS = 200
QUEUE_BYTES = 64 * 2**20
WATCH_SECONDS = 0.25


class GroupCommitter:
    """A bounded queue, and flushers that store what waits in it. To be used from one event loop."""

    def __init__(
        self, database_url: str, availability: Availability, log: Any, cap: Cap, *, queue_bytes: int = QUEUE_BYTES  # noqa: ANN401
    ) -> None:  # fmt: skip
        self._make_flusher = partial(Flusher, database_url, availability, log, cap)
        self._queue_bytes = queue_bytes
        self._queue: deque[Waiting] = deque()
        self._queued = 0
        self._queued_events = 0
        self._closing = False
        self._arrived = asyncio.Event()
        self._backlog = asyncio.Event()
        self._flushers: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the flushers and the watch over waiting times."""
        self._loop = asyncio.get_running_loop()
        self._flushers = [
            self._loop.create_task(self._flush(self._arrived, 0)),
            self._loop.create_task(self._flush(self._backlog, BACKLOG_EVENTS)),
        ]
        self._watch()

    async def close(self, timeout: float = 20.0) -> None:
        """Refuse new batches, store those that wait, and return when that is done or `timeout` seconds are over.

        What is not stored by then is given back.
        """
        self._closing = True
        self._arrived.set()
        self._backlog.set()
        if self._flushers:
            _, busy = await asyncio.wait(self._flushers, timeout=timeout)
            for flusher in busy:
                flusher.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
            self._timer.cancel()
        _settle([(self._take(), NotStoredError()) for _ in range(len(self._queue))])

    async def commit(self, delivery: Delivery, batch: EventBatch) -> EventBatch:
        """Store a batch and return it once committed; events the database refused are refused in the result.

        Raises NotStoredError when Postgres is away or does not answer in time, OverloadedError when too much waits.
        """
        waiting = Waiting(delivery, batch, self._loop.create_future(), time.monotonic())
        if self._closing or self._queued + waiting.size > self._queue_bytes:
            raise OverloadedError
        self._queue.append(waiting)
        self._queued += waiting.size
        self._queued_events += waiting.events
        self._arrived.set()
        if self._queued_events >= BACKLOG_EVENTS:
            self._backlog.set()
        return await waiting.answer

    def _watch(self) -> None:
        """Give back what has waited too long, while the flushers are busy with a slow or frozen server."""
        self._timer = self._loop.call_later(WATCH_SECONDS, self._watch)
        late: list[Outcome] = []
        while self._queue and self._queue[0].since < time.monotonic() - ANSWER_SECONDS:
            late.append((self._take(), NotStoredError()))
        telemetry.queue_is(len(self._queue), self._queued)
        _settle(late)

    async def _flush(self, woken: asyncio.Event, least_events: int) -> None:
        """Store group after group, until closing and nothing waits."""
        flusher = self._make_flusher()
        try:
            while group := await self._next_group(woken, least_events, flusher):
                try:
                    outcomes = await run(flusher.store, group)
                except BaseException:
                    _settle([(waiting, NotStoredError(flusher.transaction)) for waiting in group])
                    raise
                _settle(outcomes)
        finally:
            flusher.disconnect()

    async def _next_group(self, woken: asyncio.Event, least_events: int, flusher: Flusher) -> list[Waiting]:
        """Wait for batches and take as many of one protocol as make a group; nothing once closing and empty."""
        while not self._closing and (not self._queue or self._queued_events < least_events):
            woken.clear()
            await woken.wait()
        group: list[Waiting] = []
        events = 0
        while self._queue and (not group or self._fits(group[0], flusher.events_limit - events)):
            waiting = self._take()
            events += waiting.events
            group.append(waiting)
        return group

    def _take(self) -> Waiting:
        waiting = self._queue.popleft()
        self._queued -= waiting.size
        self._queued_events -= waiting.events
        return waiting

    def _fits(self, first: Waiting, room: int) -> bool:
        """Whether the next of the queue goes into the group of `first`, which has room for so many events."""
        following = self._queue[0]
        return following.events <= room and following.delivery.protocol == first.delivery.protocol


def _settle(outcomes: Sequence[Outcome]) -> None:
    """Wake the requests up."""
    for waiting, outcome in outcomes:
        if waiting.answer.done():
            continue
        if isinstance(outcome, EventBatch):
            waiting.answer.set_result(outcome)
        else:
            waiting.answer.set_exception(outcome)
