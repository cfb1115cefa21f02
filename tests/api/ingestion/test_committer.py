"""The group committer by itself: two flushers, requests that leave, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest

from api.errors import OverloadedError
from api.ingestion import committer as committer_module
from api.ingestion.availability import Availability
from api.ingestion.batch import EventBatch
from api.ingestion.committer import BACKLOG_EVENTS, GROUP_EVENTS, GroupCommitter, NotStoredError
from api.ingestion.delivery import Delivery
from api.request_log import make_logger
from pipeline.ingestion.dead_letters import DEFAULT_CAP
from tests.makers import NOW, event_row
from tests.waiting import wait_until


def batch(*numbers: int) -> EventBatch:
    return EventBatch("default", NOW, 100, [event_row(number) for number in numbers], list(range(len(numbers))))


def commit(committer: GroupCommitter, content: EventBatch) -> asyncio.Task[EventBatch]:
    delivery = Delivery("mobile", "default", NOW, b"{}")
    return asyncio.get_running_loop().create_task(committer.commit(delivery, content))


def with_committer(database_url: str, scene: Callable[[GroupCommitter], Awaitable[None]]) -> None:
    """Play a scene with a committer that runs, and close it."""

    async def play() -> None:
        committer = GroupCommitter(database_url, Availability(), make_logger("CRITICAL"), DEFAULT_CAP)
        committer.start()
        try:
            await scene(committer)
        finally:
            await asyncio.to_thread(committer.close)

    asyncio.run(play())


def flushers(connection: psycopg.Connection, *, locked: bool = False) -> int:
    """The connections of committers to the test's database; `locked`: those that wait for a lock."""
    row = connection.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tidemark-ingest'"
        " AND datname = current_database() AND (wait_event_type = 'Lock' OR NOT %s)",
        [locked],
    ).fetchone()
    assert row is not None
    return int(row[0])


async def wait_for_flushers(connection: psycopg.Connection, count: int) -> None:
    """Return when so many flushers wait for a lock."""
    await asyncio.to_thread(wait_until, lambda: flushers(connection, locked=True) == count, f"{count} flushers wait")


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


def test_refused_events_count_for_a_group_as_well(database_url: str, connection: psycopg.Connection) -> None:
    """They are rows of another table: with any number of them in one group, it would not be stored in time."""
    requests = 2 * GROUP_EVENTS // 100
    batches = [EventBatch("default", errors=dict.fromkeys(range(100), "wrong")) for _ in range(requests)]

    async def scene(committer: GroupCommitter) -> None:
        await asyncio.gather(*(commit(committer, each) for each in batches))

    with_committer(database_url, scene)
    letters = connection.execute("SELECT count(*) FROM dead_letters GROUP BY xmin").fetchall()
    assert sum(row[0] for row in letters) == 100 * requests
    assert max(row[0] for row in letters) <= GROUP_EVENTS


def test_a_request_that_leaves_disturbs_nobody(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    """Whether its group is under way or it still waits: the others are answered, and the next ones too."""

    async def scene(committer: GroupCommitter) -> None:
        under_way = [commit(committer, batch(0))]
        await wait_for_flushers(connection, 1)
        waiting = [commit(committer, batch(number)) for number in range(1, 4)]
        await asyncio.sleep(0)
        for left in (under_way[0], waiting[1]):
            left.cancel()
        blocker.rollback()
        outcomes = await asyncio.gather(*under_way, *waiting, return_exceptions=True)
        gone: Any = asyncio.CancelledError
        assert [type(outcome) for outcome in outcomes] == [gone, EventBatch, gone, EventBatch]
        assert len((await commit(committer, batch(6))).rows) == 1

    with_committer(database_url, scene)
    assert stored(connection) == 5


def test_what_waits_at_the_end_is_stored_and_what_comes_then_is_refused(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection
) -> None:
    async def scene(committer: GroupCommitter) -> None:
        sent = [commit(committer, batch(number)) for number in range(20)]
        await wait_for_flushers(connection, 1)
        closing = asyncio.create_task(asyncio.to_thread(committer.close))
        await asyncio.to_thread(wait_until, lambda: committer._closing, "it is closing")
        with pytest.raises(OverloadedError):
            await commit(committer, batch(20))
        blocker.rollback()
        await closing
        await asyncio.gather(*sent)

    with_committer(database_url, scene)
    assert stored(connection) == 20


def test_what_still_waits_when_time_is_up_is_given_back(
    database_url: str, connection: psycopg.Connection, blocker: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the end alone: here no request's own time is ever up."""
    monkeypatch.setattr(committer_module, "ANSWER_SECONDS", 3600.0)

    async def scene(committer: GroupCommitter) -> None:
        under_way = [commit(committer, batch(0))]
        await wait_for_flushers(connection, 1)
        under_way.append(commit(committer, batch(*range(1, BACKLOG_EVENTS + 1))))
        await wait_for_flushers(connection, 2)
        waiting = [commit(committer, batch(BACKLOG_EVENTS + number)) for number in range(1, 20)]
        await asyncio.sleep(0)
        await asyncio.to_thread(committer.close, 0.1)
        for outcome in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(outcome, NotStoredError)
        assert not any(each.done() for each in under_way)
        blocker.rollback()
        assert [len(each.rows) for each in await asyncio.gather(*under_way)] == [1, BACKLOG_EVENTS]

    with_committer(database_url, scene)
    assert stored(connection) == BACKLOG_EVENTS + 1
