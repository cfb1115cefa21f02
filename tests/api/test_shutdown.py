"""Stopping under load: every request that was taken is answered, and what was answered is there afterwards."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from cli.api_process import GRACE_SECONDS
from tests.api.servers import NO_TLS, free_port, server_process
from tests.api.vectors import event
from tests.databases import Postgres
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


def body(*event_ids: str) -> bytes:
    events = [event(event_id=event_id) for event_id in event_ids]
    return json.dumps({"anonymous_user_id": "u", "events": events}).encode()


def event_ids(connection: psycopg.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT event_id::text FROM event_logs ORDER BY 1")]


@dataclass(frozen=True)
class ServerLog:
    """Where the workers of a server say what they do."""

    path: Path
    workers: int = 1

    def wait_for(self, words: str) -> None:
        wait_until(lambda: self.path.read_text(encoding="utf-8").count(words) >= self.workers, f"all say {words!r}")


def ended_in_time(process: subprocess.Popen[bytes]) -> int:
    """The exit code; uvicorn ends by the signal it got, once it has cleaned up."""
    return abs(process.wait(GRACE_SECONDS + 4))


async def stop_while_waiting(
    url: str, process: subprocess.Popen[bytes], log: ServerLog, requests: list[list[str]], go_on: Callable[[], None]
) -> list[httpx.Response]:
    """Send requests that cannot be stored yet, ask the server to stop, and `go_on` once each of its workers does."""
    log.wait_for("Application startup complete")
    limits = httpx.Limits(max_connections=len(requests))
    async with httpx.AsyncClient(base_url=url, timeout=30, limits=limits, verify=NO_TLS) as client:
        answers = [asyncio.ensure_future(client.post("/v1/events", content=body(*ids))) for ids in requests]
        port = int(url.rsplit(":", 1)[1])
        await asyncio.to_thread(wait_until, lambda: connections_to(process.pid, port) >= len(requests), "all arrived")
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(log.wait_for, "Shutting down")
        go_on()
        return await asyncio.gather(*answers)


def connections_to(pid: int, port: int) -> int:
    """Connections that the server has taken and whose request it has read: nothing is left in their buffers."""
    parent = psutil.Process(pid)
    processes = (parent, *parent.children(recursive=True))
    taken = [each for one in processes for each in one.net_connections("tcp") if each.laddr.port == port]
    taken = [each for each in taken if each.status == "ESTABLISHED"]
    waiting = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    unread = {row.split()[2] for row in waiting if int(row.split()[4].split(":")[1], 16) and f":{port:04X} " in row}
    return len(taken) if not unread else 0


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_that_wait_for_their_commit_are_committed_and_answered(
    database_url: str, connection: psycopg.Connection, tmp_path: Path, workers: int
) -> None:
    requests = [[str(uuid.uuid4()) for _ in range(5)] for _ in range(32)]
    log = ServerLog(tmp_path / "log", workers)
    with (
        server_process(database_url, log.path, workers=workers) as (url, process),
        psycopg.connect(database_url) as blocker,
    ):
        blocker.execute("LOCK TABLE event_logs IN SHARE ROW EXCLUSIVE MODE")
        answers = asyncio.run(stop_while_waiting(url, process, log, requests, blocker.rollback))
        assert ended_in_time(process) in (0, signal.SIGTERM)
    assert [(answer.status_code, answer.json()["accepted"]) for answer in answers] == [(200, 5)] * 32
    assert event_ids(connection) == sorted(event_id for ids in requests for event_id in ids)


def test_with_a_frozen_database_they_end_in_the_spool_and_the_next_start_delivers_them(
    postgres: Postgres, own_database: str, tmp_path: Path
) -> None:
    requests = [[str(uuid.uuid4()) for _ in range(5)] for _ in range(32)]
    with server_process(own_database, tmp_path / "log") as (url, process):
        first = [str(uuid.uuid4())]
        assert httpx.post(f"{url}/v1/events", content=body(*first), timeout=30, verify=NO_TLS).status_code == 200
        postgres.freeze()
        try:
            answers = asyncio.run(stop_while_waiting(url, process, ServerLog(tmp_path / "log"), requests, lambda: None))
            assert ended_in_time(process) in (0, signal.SIGTERM)
        finally:
            postgres.thaw()
    assert [(answer.status_code, answer.json()["accepted"]) for answer in answers] == [(200, 5)] * 32
    wanted = sorted(event_id for ids in [first, *requests] for event_id in ids)
    with (
        server_process(own_database, tmp_path / "log"),
        psycopg.connect(own_database, autocommit=True) as connection,
    ):
        wait_until(lambda: len(event_ids(connection)) >= len(wanted), "the spool is delivered")
        assert event_ids(connection) == wanted


def test_a_stop_under_load_breaks_no_request_and_loses_nothing(
    database_url: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Clients go on until they are turned away; an answer that has begun arrives in full."""
    acknowledged: set[str] = set()
    turned_away: list[httpx.TransportError] = []

    async def send(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=30, verify=NO_TLS) as client:
            while True:
                ids = [str(uuid.uuid4()) for _ in range(5)]
                try:
                    # A connection for each request: on a kept one, a server that stops may close between two.
                    answer = await client.post("/v1/events", content=body(*ids), headers={"connection": "close"})
                except httpx.TransportError as error:
                    turned_away.append(error)
                    return
                assert answer.status_code == 200
                acknowledged.update(ids)

    async def stop_under_load(url: str, process: subprocess.Popen[bytes]) -> None:
        senders = [asyncio.create_task(send(url)) for _ in range(16)]
        while len(acknowledged) < 2_000:
            await asyncio.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        await asyncio.gather(*senders)

    with server_process(database_url, tmp_path / "log", port=free_port()) as (url, process):
        asyncio.run(stop_under_load(url, process))
        assert ended_in_time(process) in (0, signal.SIGTERM)
    stored = event_ids(connection)
    assert len(stored) == len(set(stored))
    assert acknowledged <= set(stored)
    assert len(turned_away) == 16
    sys.stdout.write(f"acknowledged {len(acknowledged)}, stored {len(stored)}, turned away {len(turned_away)}\n")
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "request failed" not in log
    assert "Traceback" not in log
