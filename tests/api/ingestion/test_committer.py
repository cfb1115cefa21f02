"""The group committer on the event loop: two flushers, a frozen server, requests that leave, and its end."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from api.errors import OverloadedError
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.committer import BACKLOG_EVENTS, GroupCommitter
from api.ingestion.core import IngestionCore
from api.ingestion.delivery import Delivery
from api.ingestion.flusher import ANSWER_SECONDS, GROUP_EVENTS, NotStoredError
from api.request_log import make_logger
from cli.embedded_postgres import EmbeddedPostgres
from pipeline.dead_letters import DEFAULT_CAP
from pipeline.migrations import migrate
from pipeline.settings import Settings
from tests.api.faults.system import Postgres
from tests.api.servers import server_process
from tests.api.vectors import event
from tests.makers import NOW, event_row
from tests.waiting import wait_until

HEALTH_SECONDS = 0.5


def body(events: int) -> bytes:
    """A request of new events."""
    sent = [event(event_id=str(uuid.uuid4())) for _ in range(events)]
    return json.dumps({"anonymous_user_id": "u", "events": sent}).encode()


def batch(*numbers: int) -> EventBatch:
    return EventBatch("default", NOW, 100, [event_row(number) for number in numbers], list(range(len(numbers))))


def commit(committer: GroupCommitter, content: EventBatch) -> asyncio.Task[EventBatch]:
    delivery = Delivery("mobile", "default", NOW, b"{}")
    return asyncio.get_running_loop().create_task(committer.commit(delivery, content))


def with_committer(database_url: str, scene: Callable[[GroupCommitter], Awaitable[Any]]) -> Any:
    """Play a scene with a committer that runs, and close it."""

    async def play() -> Any:
        committer = GroupCommitter(database_url, Availability(), make_logger("CRITICAL"), DEFAULT_CAP)
        committer.start()
        try:
            return await scene(committer)
        finally:
            await committer.close()
            assert asyncio.all_tasks() == {asyncio.current_task()}

    return asyncio.run(play())


def flushers(connection: psycopg.Connection, condition: str = "true") -> int:
    """The connections of committers to the test's database."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidemark-ingest' AND datname = "
    row = connection.execute(f"{query}current_database() AND {condition}".encode()).fetchone()
    assert row is not None
    return int(row[0])


async def wait_for_flushers(connection: psycopg.Connection, count: int) -> None:
    """Return when so many flushers wait for a lock."""
    locked = "wait_event_type = 'Lock'"
    await asyncio.to_thread(wait_until, lambda: flushers(connection, locked) == count, f"{count} flushers wait")


def stored(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


@pytest.fixture
def blocker(database_url: str) -> Iterator[psycopg.Connection]:
    """A session that keeps everybody from storing events until it ends its transaction."""
    with psycopg.connect(database_url) as session:
        session.execute("LOCK TABLE event_logs IN SHARE ROW EXCLUSIVE MODE")
        yield session


def test_a_second_flusher_helps_with_a_backlog_and_only_then(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    async def scene(committer: GroupCommitter) -> None:
        first = commit(committer, batch(0))
        await wait_for_flushers(connection, 1)
        few = [commit(committer, batch(number)) for number in range(1, BACKLOG_EVENTS)]
        await asyncio.sleep(0)
        assert flushers(connection) == 1
        last = commit(committer, batch(BACKLOG_EVENTS))
        await wait_for_flushers(connection, 2)
        blocker.rollback()
        durable = await asyncio.gather(first, *few, last)
        assert [len(each.rows) for each in durable] == [1] * (BACKLOG_EVENTS + 1)

    with_committer(database_url, scene)
    assert stored(connection) == BACKLOG_EVENTS + 1
    assert flushers(connection) == 0


def test_refused_events_count_for_a_group_as_well(database_url: str, connection: psycopg.Connection) -> None:
    """They are rows of another table: thousands of them in one group would keep the loop as long."""
    batches = [EventBatch("default", errors=dict.fromkeys(range(100), "wrong")) for _ in range(60)]

    async def scene(committer: GroupCommitter) -> None:
        await asyncio.gather(*(commit(committer, each) for each in batches))

    with_committer(database_url, scene)
    letters = connection.execute("SELECT count(*) FROM dead_letters GROUP BY xmin").fetchall()
    assert sum(row[0] for row in letters) == 6_000
    assert max(row[0] for row in letters) <= GROUP_EVENTS


def test_a_request_that_leaves_disturbs_nobody(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    """Whether its group is under way or it still waits: the others are answered, and the next ones too."""

    async def scene(committer: GroupCommitter) -> None:
        under_way = [commit(committer, batch(number)) for number in range(3)]
        await wait_for_flushers(connection, 1)
        waiting = [commit(committer, batch(number)) for number in range(3, 6)]
        await asyncio.sleep(0)
        for left in (under_way[1], waiting[1]):
            left.cancel()
        blocker.rollback()
        outcomes = await asyncio.gather(*under_way, *waiting, return_exceptions=True)
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [EventBatch, asyncio.CancelledError, EventBatch] * 2
        assert len((await commit(committer, batch(6))).rows) == 1

    with_committer(database_url, scene)
    assert stored(connection) == 7


def test_what_waits_at_the_end_is_stored_and_what_comes_then_is_refused(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    async def scene(committer: GroupCommitter) -> None:
        sent = [commit(committer, batch(number)) for number in range(20)]
        await wait_for_flushers(connection, 1)
        closing = asyncio.create_task(committer.close())
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await commit(committer, batch(20))
        blocker.rollback()
        await closing
        assert all(task.done() for task in sent)
        await asyncio.gather(*sent)

    with_committer(database_url, scene)
    assert stored(connection) == 20


def test_what_is_not_stored_when_time_is_up_is_given_back(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    async def scene(committer: GroupCommitter) -> None:
        sent = [commit(committer, batch(number)) for number in range(20)]
        await wait_for_flushers(connection, 1)
        await committer.close(timeout=0.1)
        assert all(task.done() for task in sent)
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            assert isinstance(outcome, NotStoredError)

    with_committer(database_url, scene)
    blocker.rollback()
    wait_until(lambda: flushers(connection) == 0, "the server notices that the connections are closed")
    assert stored(connection) == 0


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A Postgres of these tests only."""
    folder = Path(tempfile.mkdtemp(prefix="tidemark-test-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "postgres", options={"fsync": "off"})
    migrate(server.start())
    yield server
    server.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres(server: EmbeddedPostgres) -> Iterator[Postgres]:
    """It, without events, to be frozen."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute("TRUNCATE event_logs")
    postgres = Postgres(server)
    yield postgres
    postgres.thaw()


def watch_health(url: str, until: threading.Event, seconds: list[float]) -> None:
    """Ask for /health again and again, and note how long each answer takes."""
    with httpx.Client(base_url=url, timeout=30) as client:
        while not until.is_set():
            started = time.monotonic()
            assert client.get("/health").status_code == 200
            seconds.append(time.monotonic() - started)


@pytest.mark.slow
def test_a_frozen_server_holds_nobody_up_who_does_not_need_it(postgres: Postgres, tmp_path: Path) -> None:
    """Both flushers hang over it, connected or connecting, for as long as they may."""
    requests = [body(10) for _ in range(2 * BACKLOG_EVENTS // 10)]
    seconds: list[float] = []
    answered = threading.Event()

    async def send(url: str) -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            return await asyncio.gather(*(client.post("/v1/events", content=content) for content in requests))

    with server_process(postgres.server.url(), tmp_path / "log") as (url, _):
        assert httpx.post(f"{url}/v1/events", content=body(1)).status_code == 200
        postgres.freeze()
        thread = threading.Thread(target=watch_health, args=(url, answered, seconds))
        thread.start()
        try:
            started = time.monotonic()
            answers = asyncio.run(send(url))
            assert time.monotonic() - started >= ANSWER_SECONDS  # they did hang
        finally:
            answered.set()
            thread.join()
            postgres.thaw()
        assert [(answer.status_code, answer.json()["accepted"]) for answer in answers] == [(200, 10)] * len(requests)
        with psycopg.connect(postgres.server.url(), autocommit=True) as connection:
            wait_until(lambda: stored(connection) == 1 + 10 * len(requests), "the spool is delivered")
    sys.stdout.write(f"/health asked {len(seconds)} times, the slowest took {max(seconds):.3f} s\n")
    assert len(seconds) > ANSWER_SECONDS / HEALTH_SECONDS
    assert max(seconds) < HEALTH_SECONDS


@pytest.mark.slow
def test_with_a_frozen_server_the_end_comes_in_time_and_the_spool_has_the_rest(
    postgres: Postgres, tmp_path: Path
) -> None:
    url = postgres.server.url()
    settings = Settings.model_validate({"database_url": url, "home": tmp_path})
    deliveries = [Delivery("mobile", "default", NOW, body(10)) for _ in range(2 * BACKLOG_EVENTS // 10)]

    async def scene() -> tuple[list[EventBatch], int]:
        core = IngestionCore(settings, make_logger("CRITICAL"))
        core.start()
        await core.submit(Delivery("mobile", "default", NOW, b"{}"), batch(0))
        postgres.freeze()
        sent = [
            asyncio.create_task(core.submit(delivery, batch(*range(start, start + 10))))
            for start, delivery in zip(range(1, 1 + 10 * len(deliveries), 10), deliveries, strict=True)
        ]
        await asyncio.sleep(0)
        closing = asyncio.create_task(core.close())
        turns = 0
        while not closing.done():
            await asyncio.sleep(0.01)
            turns += 1
        return await asyncio.gather(*sent), turns

    durable, turns = asyncio.run(asyncio.wait_for(scene(), 15))
    assert [len(each.rows) for each in durable] == [10] * len(deliveries)
    assert turns > 10  # the loop was free meanwhile
    postgres.thaw()

    async def deliver() -> None:
        core = IngestionCore(settings, make_logger("CRITICAL"))
        core.start()
        with psycopg.connect(url, autocommit=True) as connection:
            await asyncio.to_thread(wait_until, lambda: stored(connection) >= 1 + 10 * len(deliveries), "all delivered")
            assert stored(connection) == 1 + 10 * len(deliveries)
        await core.close()

    asyncio.run(deliver())
