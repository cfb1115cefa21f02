"""The ingestion core: every protocol hands its requests here, and gets them back when they are durable.

Usually that is after the COMMIT in Postgres (`committer`). While Postgres is away or too slow, and always for what a
protocol only queues, it is after the fsync of this process's spool, out of which `drain` moves it later. What is
acknowledged is kept; what is not may be sent again, since event ids make storing idempotent.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from api.errors import DatabaseUnavailableError
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.committer import QUEUE_BYTES, GroupCommitter, NotStoredError
from api.ingestion.delivery import Delivery
from api.ingestion.drain import Drain
from api.ingestion.spool import Spool
from api.ingestion.spool_errors import SpoolFullError, SpoolUnavailableError
from pipeline.ingestion.dead_letters import Cap
from pipeline.settings import Settings


class IngestionCore:
    """What one API process does with requests once they are read."""

    def __init__(self, settings: Settings, log: Any, *, queue_bytes: int = QUEUE_BYTES) -> None:  # noqa: ANN401
        url = settings.database_url.get_secret_value() if settings.database_url else None
        cap = Cap.of(settings)
        self._availability = Availability()
        self.spool = Spool(folder=settings.spool, log=log, max_bytes=settings.spool_max_bytes)
        self._committer = url and GroupCommitter(url, self._availability, log, cap, queue_bytes=queue_bytes)
        self._drain = url and Drain(url, self.spool, self._availability, log, cap)

    def start(self) -> None:
        """Start the threads; to be called from the event loop."""
        self.spool.start()
        if self._committer and self._drain:
            self._committer.start()
            self._drain.start()

    async def close(self) -> None:
        """Store what waits, in Postgres or else in the spool, and stop."""
        if self._committer and self._drain:
            await asyncio.to_thread(self._committer.close)
            if not await asyncio.to_thread(self._drain.close):
                return  # the kernel gives the spool's files free once this process has ended
        await asyncio.to_thread(self.spool.close)

    async def submit(self, delivery: Delivery, batch: EventBatch) -> EventBatch:
        """Store a request's events and return the batch once it is durable; what Postgres refused is refused in it.

        Raises DatabaseUnavailableError when neither Postgres nor the spool takes it, OverloadedError when too much
        waits already. Either way the client may repeat it: event ids keep it from being stored twice.
        """
        if not self._committer:
            raise DatabaseUnavailableError
        if self._availability.available:
            try:
                return await self._committer.commit(delivery, batch)
            except NotStoredError as failure:
                delivery = msgspec.structs.replace(delivery, transaction=failure.transaction, witness=failure.witness)
        try:
            await self.keep(delivery)
        except (SpoolFullError, SpoolUnavailableError) as error:
            raise DatabaseUnavailableError(error.reason) from error
        return batch

    async def keep(self, delivery: Delivery) -> None:
        """Put a request into the spool and return once it is durable there; Postgres gets it within seconds.

        Raises SpoolFullError, SpoolUnavailableError, or OverloadedError when too much waits to be written.
        """
        await self.spool.keep(delivery)
