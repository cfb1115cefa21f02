"""An acknowledged event is committed; what cannot be committed is answered 503, and nobody pays for a neighbour."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from api.ingestion import committer
from api.ingestion.batch import UNSTORABLE, EventBatch
from api.ingestion.core import IngestionCore
from api.ingestion.delivery import Delivery
from api.request_log import make_logger
from cli.embedded_postgres import EmbeddedPostgres
from pipeline.migrations import migrate
from pipeline.settings import Settings
from tests.api.servers import free_port, server_process
from tests.api.vectors import event
from tests.makers import NOW, event_row
from tests.waiting import wait_until


def body(*events: object, user: str = "u") -> bytes:
    return json.dumps({"anonymous_user_id": user, "events": events}).encode()


def delivery(events: int, *, padding: int = 0) -> Delivery:
    """A request of that many events; what they are is in the batch beside it."""
    return Delivery("mobile", "default", NOW, body(*range(events), " " * padding))


def count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


def test_the_answer_waits_for_the_commit(
    client: httpx.Client, database_url: str, connection: psycopg.Connection
) -> None:
    """While another session locks the table nothing can be committed, and so nothing is answered."""
    answers: list[httpx.Response] = []
    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE event_logs IN SHARE ROW EXCLUSIVE MODE")
        thread = threading.Thread(target=lambda: answers.append(client.post("/v1/events", content=body(event()))))
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'event_logs'::regclass"
        wait_until(lambda: connection.execute(waiting).fetchone() == (1,))
        assert answers == []
    thread.join()
    assert answers[0].json()["accepted"] == 1
    assert count(connection) == 1


def test_the_same_events_from_many_clients_are_stored_once(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    content = body(*(event(event_id=str(uuid.UUID(int=number))) for number in range(50)))

    async def send() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as own:
            return await asyncio.gather(*(own.post("/v1/events", content=content) for _ in range(20)))

    for response in asyncio.run(send()):
        assert (response.status_code, response.json()["accepted"]) == (200, 50)
    assert count(connection) == 50
    ledger = connection.execute("SELECT sum(received), sum(stored), sum(duplicate) FROM ingestion_ledger").fetchone()
    assert ledger == (1000, 50, 950)


@pytest.mark.slow
def test_every_acknowledged_event_survives_kill_9_of_the_server(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    acknowledged: set[str] = set()
    port = free_port()

    async def send(url: str, until: asyncio.Event) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            while not until.is_set():
                ids = [str(uuid.uuid4()) for _ in range(5)]
                try:
                    response = await client.post(
                        "/v1/events", content=body(*(event(event_id=event_id) for event_id in ids))
                    )
                except httpx.TransportError:
                    return
                assert response.status_code == 200
                acknowledged.update(ids)

    async def send_and_kill(url: str, process_id: int, goal: int) -> None:
        until = asyncio.Event()
        senders = [asyncio.create_task(send(url, until)) for _ in range(8)]
        while len(acknowledged) < goal and not all(sender.done() for sender in senders):
            await asyncio.sleep(0.01)
        os.kill(process_id, signal.SIGKILL)
        until.set()
        await asyncio.gather(*senders)

    for round_number in range(1, 4):
        with server_process(database_url, tmp_path / "log", port=port) as (url, process):
            asyncio.run(send_and_kill(url, process.pid, round_number * 200))
    stored = {row[0] for row in connection.execute("SELECT event_id::text FROM event_logs")}
    assert len(acknowledged) >= 600
    assert acknowledged <= stored


@pytest.fixture
def own_postgres() -> Iterator[EmbeddedPostgres]:
    """A server that the test may stop."""
    with tempfile.TemporaryDirectory(prefix="tidemark-test-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "postgres", options={"fsync": "off"})
        yield server
        server.stop()


@pytest.mark.slow
def test_without_its_database_the_api_keeps_events_and_says_503_to_the_rest(
    own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    url = own_postgres.start()
    migrate(url)
    answered = [("POST", "/v1/assignment", b'{"anonymous_user_id": "u"}'), ("GET", "/v1/metrics/summary", b"")]
    with server_process(url, tmp_path / "log") as (api, _), httpx.Client(base_url=api, timeout=30) as client:
        for method, path, content in answered:
            assert client.request(method, path, content=content).status_code == 200
        own_postgres.stop()
        for method, path, content in answered:
            response = client.request(method, path, content=content)
            assert response.status_code == 503
            assert response.json() == {
                "error": "Service Unavailable",
                "message": "Database is temporarily unavailable. Please retry.",
            }
            assert int(response.headers["retry-after"]) > 0
        kept = client.post("/v1/events", content=body(event(), event(event_name="!")))
        assert (kept.status_code, kept.json()["accepted"], kept.json()["rejected"]) == (200, 1, 1)
        assert client.get("/health").json() == {"ok": True}
        assert client.post("/v1/events", content=b"{").status_code == 400
        own_postgres.start()
        for method, path, content in answered:
            wait_until(lambda: client.request(method, path, content=content).status_code == 200)  # noqa: B023
        with psycopg.connect(url, autocommit=True) as connection:
            wait_until(lambda: count(connection) == 1)


def test_a_restart_of_the_database_costs_no_request(client: httpx.Client, connection: psycopg.Connection) -> None:
    """Connections of before fail; the work is done again on new ones."""
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'tidemark-%'"
    for number in range(5):
        user = f"user-{number}"
        assert client.post("/v1/events", content=body(event(), user=user)).status_code == 200
        assert client.post("/v1/assignment", json={"anonymous_user_id": user}).status_code == 200
        connection.execute(others)
    assert count(connection) == 5


def test_what_only_the_database_refuses_is_refused_alone(settings: Settings, connection: psycopg.Connection) -> None:
    """Should validation ever let something through, neither its batch nor its group pays for it."""

    async def run() -> tuple[EventBatch, list[EventBatch]]:
        core = IngestionCore(settings, make_logger("ERROR"))
        rows = [event_row(number) for number in range(12)]
        rows[3] = rows[3]._replace(properties='{"a": "\\u0000"}')
        rows[4] = rows[4]._replace(session_id="\ud800")
        rows[5] = rows[5]._replace(app_version="\0")
        mixed = EventBatch("default", NOW, 100, rows, list(range(1, 13)), {0: "event_name is required"})
        others = [EventBatch("default", NOW, 10, [event_row(100 + number)], [0]) for number in range(5)]
        core.start()
        settled = await asyncio.gather(*(core.submit(delivery(13), batch) for batch in (mixed, *others)))
        await core.close()
        return settled[0], settled[1:]

    mixed, others = asyncio.run(run())
    assert mixed.errors == {0: "event_name is required", 4: UNSTORABLE, 5: UNSTORABLE, 6: UNSTORABLE}
    assert [result["index"] for result in mixed.results()] == list(range(13))
    assert [len(other.rows) for other in others] == [1] * 5
    assert count(connection) == 9 + 5
    ledger = connection.execute("SELECT sum(received), sum(stored), sum(rejected) FROM ingestion_ledger").fetchone()
    assert ledger == (18, 14, 4)
    letters = connection.execute("SELECT event_index, reason FROM dead_letters ORDER BY event_index").fetchall()
    assert letters == [(0, "event_name is required"), (4, UNSTORABLE), (5, UNSTORABLE), (6, UNSTORABLE)]


def test_a_full_queue_refuses_and_closing_stores_what_waits(settings: Settings, connection: psycopg.Connection) -> None:
    async def run() -> list[object]:
        core = IngestionCore(settings, make_logger("ERROR"), queue_bytes=30_000)
        core.start()
        with connection.transaction():
            connection.execute("LOCK TABLE event_logs IN SHARE ROW EXCLUSIVE MODE")
            batches = [EventBatch("default", NOW, 8_000, [event_row(number)], [0]) for number in range(9)]
            sent = delivery(1, padding=8_000)
            answers = [asyncio.ensure_future(core.submit(sent, batch)) for batch in batches]
            await asyncio.sleep(0)
        await core.close()
        return await asyncio.gather(*answers, return_exceptions=True)

    outcomes = Counter(type(outcome).__name__ for outcome in asyncio.run(run()))
    assert outcomes["OverloadedError"] > 0
    assert outcomes["EventBatch"] >= 2
    assert outcomes.total() == 9
    assert count(connection) == outcomes["EventBatch"]


async def send_in_turn(core: IngestionCore, client: int, requests: int) -> None:
    """Send one event after the other, each once the one before is durable and has travelled: to some it is farther."""
    for number in range(requests):
        await asyncio.sleep(client * 0.003)
        batch = EventBatch("default", NOW, 100, [event_row(1000 * client + number)], [0])
        await core.submit(delivery(1), batch)


def transactions(settings: Settings, connection: psycopg.Connection, *, clients: int, requests: int) -> int:
    """Let clients send side by side; return how many transactions stored what they sent."""

    async def run() -> None:
        core = IngestionCore(settings, make_logger("ERROR"))
        core.start()
        await asyncio.gather(*(send_in_turn(core, client, requests) for client in range(clients)))
        await core.close()

    asyncio.run(run())
    assert count(connection) == clients * requests
    row = connection.execute("SELECT count(DISTINCT ingest_xid) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


def test_clients_that_come_back_at_once_share_transactions(
    settings: Settings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for each other they would take turns, in two groups of few."""
    monkeypatch.setattr(committer, "GATHER_SECONDS", 1.0)
    monkeypatch.setattr(committer, "GATHER_SHARE", 1e6)
    # The first group is who came first, the last ones who is left: the others hold all five.
    assert transactions(settings, connection, clients=5, requests=30) <= 30 + 3


def test_nobody_waits_for_clients_that_are_not_there(
    settings: Settings, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "GATHER_SECONDS", 3600.0)
    monkeypatch.setattr(committer, "GATHER_SHARE", 1e9)
    assert transactions(settings, connection, clients=1, requests=30) == 30
