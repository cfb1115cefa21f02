"""The API's access to Postgres from the event loop: a pool, deadlines, and one exception for "not available".

Every session acts as a role that sees the rows of the tenants it is scoped to, and is scoped anew for each work. Work
given here must be safe to repeat: after a lost connection it is done again on another one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from psycopg import AsyncConnection, OperationalError, errors
from psycopg_pool import AsyncConnectionPool

from api.errors import DatabaseUnavailableError
from pipeline.database import (
    APP_ROLE,
    CONNECT_TIMEOUT_SECONDS,
    SESSION_OPTIONS,
    VANISHED_AFTER,
    Connection,
    connect,
    scope_text,
    session_options,
)
from pipeline.statements import statement

POOL_SIZE = 8
CONNECTION_SECONDS = 1.5
ANSWER_SECONDS = 10.0
OWNER_CONNECT_SECONDS = 2
# How long the server has to stop a query that nobody waits for, before the connection is closed instead.
CANCEL_SECONDS = 1.0
# A query whose connection was closed would run on: it ends when nobody waits for anything any more. Requests meet locks
# of imports and of people at a console: they rather learn of it than wait. A plan made while a table was small would be
# kept until the next ANALYZE, and read all of the table for every request. A table without statistics seems small, too:
# what has an index in the order that is asked for must not be read whole and sorted (and not be compiled at the price
# that Postgres sets on the sorts which remain).
OPTIONS = (
    f"{SESSION_OPTIONS} -c statement_timeout={ANSWER_SECONDS:.0f}s -c lock_timeout=250ms"
    " -c plan_cache_mode=force_custom_plan -c enable_sort=off -c jit=off"
)

Result = TypeVar("Result")
Work = Callable[[AsyncConnection], Awaitable[Result]]
# Among the first are a lost connection, the pool's timeout, a deadlock and a full disk.
UNAVAILABLE = (OperationalError, errors.ReadOnlySqlTransaction)


class _ScopedConnection(AsyncConnection):
    """A connection that knows which tenants it is scoped to."""

    _scope: str | None = None

    async def scope(self, tenants: Collection[str]) -> None:
        wanted = scope_text(tenants)
        if wanted != self._scope:
            await self.execute(statement("transaction/scope"), {"tenants": wanted})
            self._scope = wanted


class OwnerDatabase:
    """For the few requests that change what no tenant may: a session of its own each, as the owner of the tables."""

    def __init__(self, database_url: str | None) -> None:
        self._database_url = database_url

    async def run(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` on a connection in autocommit mode, in a thread, and return its result.

        Raises DatabaseUnavailableError when there is no connection, or no answer within 10 s.
        """
        return await asyncio.to_thread(self._run, work)

    def _run(self, work: Callable[[Connection], Result]) -> Result:
        if self._database_url is None:
            raise DatabaseUnavailableError
        try:
            with connect(
                self._database_url, application="tidemark-admin", autocommit=True, connect_seconds=OWNER_CONNECT_SECONDS
            ) as connection:
                connection.deadline = time.monotonic() + ANSWER_SECONDS
                return work(connection)
        except UNAVAILABLE as error:
            raise DatabaseUnavailableError from error


class Database:
    """Connections of one API process; opening it does not wait for the server."""

    def __init__(self, database_url: str | None) -> None:
        self._abandoned: set[asyncio.Task[Any]] = set()
        self._pool = database_url and AsyncConnectionPool(
            database_url,
            connection_class=_ScopedConnection,
            min_size=1,
            max_size=POOL_SIZE,
            open=False,
            timeout=CONNECTION_SECONDS,
            reconnect_timeout=CONNECTION_SECONDS,
            kwargs={
                "autocommit": True,
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": session_options(database_url, OPTIONS.format(application="tidemark-api"), APP_ROLE),
                **VANISHED_AFTER,
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

    async def run(
        self, work: Work[Result], tenants: str | Collection[str], *, seconds: float = ANSWER_SECONDS
    ) -> Result:
        """Do `work` on a connection in autocommit mode and return its result.

        It sees and stores the rows of one tenant, or of a collection of them, alone: row-level security says so.

        Raises DatabaseUnavailableError when no connection is had within 1.5 s, or no answer within `seconds`; the work
        may have been done nevertheless, hence must be safe to repeat. Then it is stopped, without waiting for that.
        """
        scope = (tenants,) if isinstance(tenants, str) else tenants
        task = asyncio.ensure_future(self._attempts(work, scope, seconds))
        try:
            # Not asyncio.timeout: cancelling a query asks the server to stop it, and waits for a server that hangs.
            done, _ = await asyncio.wait({task}, timeout=seconds)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise DatabaseUnavailableError
        return task.result()

    async def _attempts(self, work: Work[Result], tenants: Collection[str], seconds: float) -> Result:
        if not self._pool:
            raise DatabaseUnavailableError
        deadline = time.monotonic() + min(CONNECTION_SECONDS, seconds)
        while True:
            try:
                async with self._pool.connection(max(deadline - time.monotonic(), 0.1)) as connection:
                    await connection.scope(tenants)
                    return await work(connection)
            except UNAVAILABLE as error:
                if time.monotonic() >= deadline:
                    raise DatabaseUnavailableError from error
                # Connections of before a restart fail one by one: the pool drops each and opens another.
                await asyncio.sleep(0.02)

    def _abandon(self, task: asyncio.Task[Result]) -> None:
        """Stop work that nobody waits for: first by asking the server, then by closing the connection."""
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        task.cancel()
        asyncio.get_running_loop().call_later(CANCEL_SECONDS, task.cancel)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        """Fetch the outcome, so that asyncio does not report it as lost."""
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()
