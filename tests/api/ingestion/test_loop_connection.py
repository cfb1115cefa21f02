"""Blocking code on the event loop: it waits for Postgres, and the loop goes on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
import uvloop
from psycopg import errors

from api.ingestion.loop_connection import LoopConnection, in_thread, run
from tests.waiting import wait_until

Run = Callable[[Coroutine[Any, Any, Any]], Any]
LOCK = "SELECT pg_advisory_lock(1)"
UNLOCK = "SELECT pg_advisory_unlock(1)"


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on each kind of loop that the API may have."""
    runner: Run = request.param
    return runner


@pytest.fixture
def waiting(database_url: str) -> Iterator[LoopConnection]:
    with opened(database_url) as connection:
        yield connection


@pytest.fixture
def other(database_url: str) -> Iterator[LoopConnection]:
    with opened(database_url) as connection:
        yield connection


def opened(database_url: str) -> closing[LoopConnection]:
    """A connection for a block; opening it blocks, closing it does not."""
    return closing(LoopConnection.open(database_url, application="loop", autocommit=True, connect_seconds=10))


def fetch(connection: psycopg.Connection, query: str) -> Any:
    row = connection.execute(query.encode()).fetchone()
    return row and row[0]


async def waits_for_lock(connection: psycopg.Connection) -> None:
    """Return when somebody waits for the advisory lock."""
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    await asyncio.to_thread(wait_until, lambda: fetch(connection, query) == 1, "somebody waits for the lock")


def test_while_one_waits_another_goes_on(
    on_loop: Run, connection: psycopg.Connection, waiting: LoopConnection, other: LoopConnection
) -> None:
    async def scene() -> list[object]:
        fetch(connection, LOCK)
        blocked = asyncio.create_task(run(fetch, waiting, LOCK))
        await waits_for_lock(connection)
        answers = [await run(fetch, other, f"SELECT {number}") for number in range(3)]
        assert not blocked.done()
        fetch(connection, UNLOCK)
        await blocked
        return answers

    assert on_loop(scene()) == [0, 1, 2]


def test_results_and_errors_are_those_of_the_function(on_loop: Run, waiting: LoopConnection) -> None:
    def work() -> object:
        with waiting.transaction():
            waiting.execute("CREATE TEMP TABLE numbers (number integer PRIMARY KEY)")
        with pytest.raises(errors.UniqueViolation), waiting.transaction():
            waiting.execute("INSERT INTO numbers VALUES (1), (1)")
        return fetch(waiting, "SELECT count(*) FROM numbers")

    assert on_loop(run(work)) == 0
    with pytest.raises(errors.DivisionByZero):
        on_loop(run(fetch, waiting, "SELECT 1 / 0"))
    with pytest.raises(KeyError, match="nothing of Postgres"):
        on_loop(run({}.__getitem__, "nothing of Postgres"))
    assert on_loop(run(len, "no wait at all")) == 14


def test_what_is_larger_than_the_sockets_buffer_gets_through(on_loop: Run, waiting: LoopConnection) -> None:
    size = 8 * 2**20

    def work() -> object:
        waiting.execute("CREATE TEMP TABLE texts (content text)")
        with waiting.cursor().copy("COPY texts FROM STDIN") as copy:
            for _ in range(8):
                copy.write_row(["x" * 2**20])
        row = waiting.execute("SELECT sum(length(content)), string_agg(content, '') FROM texts").fetchone()
        return row and (row[0], len(row[1]))

    assert on_loop(run(work)) == (size, size)


def test_a_deadline_ends_the_wait_and_the_connection(
    on_loop: Run, connection: psycopg.Connection, waiting: LoopConnection
) -> None:
    async def scene() -> int:
        fetch(connection, LOCK)
        waiting.deadline = time.monotonic() + 0.2
        blocked = asyncio.create_task(run(fetch, waiting, LOCK))
        turns = 0
        while not blocked.done():
            await asyncio.sleep(0.01)
            turns += 1
        with pytest.raises(psycopg.OperationalError, match="no answer in time"):
            await blocked
        return turns

    assert on_loop(scene()) > 1
    assert waiting.closed
    with pytest.raises(psycopg.OperationalError):
        on_loop(run(fetch, waiting, "SELECT 1"))


def test_an_answer_before_the_deadline_leaves_the_connection_as_it_was(on_loop: Run, waiting: LoopConnection) -> None:
    async def scene() -> object:
        waiting.deadline = time.monotonic() + 30
        await run(fetch, waiting, "SELECT 1")
        return await run(fetch, waiting, "SELECT 2")

    assert on_loop(scene()) == 2


def test_cancelling_ends_the_wait_and_the_connection(
    on_loop: Run, connection: psycopg.Connection, waiting: LoopConnection, other: LoopConnection
) -> None:
    seen: list[type[BaseException]] = []

    def work() -> None:
        try:
            fetch(waiting, LOCK)
        except BaseException as error:
            seen.append(type(error))
            raise

    async def scene() -> object:
        fetch(connection, LOCK)
        blocked = asyncio.create_task(run(work))
        await waits_for_lock(connection)
        blocked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await blocked
        return await run(fetch, other, "SELECT 1")

    assert on_loop(scene()) == 1
    assert seen == [asyncio.CancelledError]
    assert waiting.closed


def test_a_connection_that_breaks_raises_and_the_next_ones_work(
    on_loop: Run, connection: psycopg.Connection, database_url: str
) -> None:
    """A new connection may get the number of the broken one's socket, which the loop must have forgotten."""

    async def scene() -> int:
        fetch(connection, LOCK)
        broken = 0
        for _ in range(10):
            with opened(database_url) as doomed:
                number = await run(fetch, doomed, "SELECT pg_backend_pid()")
                blocked = asyncio.create_task(run(fetch, doomed, LOCK))
                await waits_for_lock(connection)
                fetch(connection, f"SELECT pg_terminate_backend({number})")
                with pytest.raises(psycopg.OperationalError):
                    await blocked
                broken += doomed.closed
        return broken

    assert on_loop(scene()) == 10


def test_what_blocks_is_done_in_a_thread(on_loop: Run, database_url: str) -> None:
    def work() -> object:
        connection = in_thread(
            LoopConnection.open, database_url, application="loop", autocommit=True, connect_seconds=10
        )
        try:
            return fetch(connection, "SELECT 1")
        finally:
            connection.close()

    assert on_loop(run(work)) == 1
    with pytest.raises(ValueError, match="invalid literal"):
        on_loop(run(in_thread, int, "x"))


def test_outside_of_run_waiting_is_refused_rather_than_blocking(on_loop: Run, waiting: LoopConnection) -> None:
    async def scene() -> None:
        fetch(waiting, "SELECT 1")

    with pytest.raises(RuntimeError, match="outside of run"):
        on_loop(scene())
