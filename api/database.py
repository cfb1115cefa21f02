"""The API's access to Postgres from the event loop: a pool, deadlines, and one exception for "not available".

Work given here must be safe to repeat: after a lost connection it is done again on another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg import AsyncConnection, OperationalError, errors
from psycopg_pool import AsyncConnectionPool

from api.errors import DatabaseUnavailableError
from pipeline.database import CONNECT_TIMEOUT_SECONDS, SESSION_OPTIONS

POOL_SIZE = 8
CONNECTION_SECONDS = 1.5
ANSWER_SECONDS = 10.0

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]
# Among the first are a lost connection, the pool's timeout, a deadlock and a full disk.
UNAVAILABLE = (OperationalError, errors.ReadOnlySqlTransaction)


class Database:
    """Connections of one API process; opening it does not wait for the server."""

    def __init__(self, database_url: str | None) -> None:
        self._pool = database_url and AsyncConnectionPool(
            database_url,
            min_size=1,
            max_size=POOL_SIZE,
            open=False,
            timeout=CONNECTION_SECONDS,
            reconnect_timeout=CONNECTION_SECONDS,
            kwargs={
                "autocommit": True,
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": SESSION_OPTIONS.format(application="tidemark-api"),
            },
        )

    async def open(self) -> None:
        """Start connecting in the background."""
        if self._pool:
            await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        if self._pool:
            await self._pool.close(timeout=2.0)

    async def run(self, work: Work[Result]) -> Result:
        """Do `work` on a connection in autocommit mode and return its result.

        Raises DatabaseUnavailableError when no connection is had within 1.5 s, or no answer within 10 s; the work
        may have been done nevertheless, hence must be safe to repeat.
        """
        task = asyncio.ensure_future(self._attempts(work))
        # Not asyncio.timeout: cancelling a query asks the server to stop it, and waits for a server that hangs.
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not done:
            task.add_done_callback(_forget)
            raise DatabaseUnavailableError
        return task.result()

    async def _attempts(self, work: Work[Result]) -> Result:
        if not self._pool:
            raise DatabaseUnavailableError
        deadline = time.monotonic() + CONNECTION_SECONDS
        while True:
            try:
                async with self._pool.connection(max(deadline - time.monotonic(), 0.1)) as connection:
                    return await work(connection)
            except UNAVAILABLE as error:
                if time.monotonic() >= deadline:
                    raise DatabaseUnavailableError from error
                # Connections of before a restart fail one by one: the pool drops each and opens another.
                await asyncio.sleep(0.02)


def _forget(task: asyncio.Future[Result]) -> None:
    """Fetch the outcome that nobody waits for any more, so that asyncio does not report it as lost."""
    if not task.cancelled():
        task.exception()
