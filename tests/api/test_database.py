"""The API's access to Postgres: what takes too long is given up, and its connection comes back."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from api.database import POOL_SIZE, Database
from api.errors import DatabaseUnavailableError
from tests.waiting import wait_until


def test_queries_that_nobody_waits_for_are_stopped_and_free_their_connections(
    database_url: str, connection: psycopg.Connection
) -> None:
    async def sleep(session: psycopg.AsyncConnection) -> None:
        await session.execute("SELECT pg_sleep(600)")

    async def answer(session: psycopg.AsyncConnection) -> object:
        return await (await session.execute("SELECT 42")).fetchone()

    async def run() -> list[object]:
        database = Database(database_url)
        await database.open()
        slow = [database.run(sleep, (), seconds=1.0) for _ in range(POOL_SIZE)]
        outcomes = await asyncio.gather(*slow, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailableError] * POOL_SIZE
        given = await asyncio.gather(*(database.run(answer, ()) for _ in range(POOL_SIZE)))
        await database.close()
        return given

    assert asyncio.run(run()) == [(42,)] * POOL_SIZE
    asleep = "SELECT FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'SELECT pg_sleep%'"
    wait_until(lambda: connection.execute(asleep).fetchone() is None, "the end of the abandoned queries")


def test_a_request_that_leaves_takes_its_query_with_it(database_url: str) -> None:
    async def sleep(session: psycopg.AsyncConnection) -> None:
        started.set()
        await session.execute("SELECT pg_sleep(600)")

    async def run() -> None:
        database = Database(database_url)
        await database.open()
        asked = asyncio.create_task(database.run(sleep, (), seconds=600))
        await started.wait()
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        await database.close()

    started = asyncio.Event()
    asyncio.run(run())
