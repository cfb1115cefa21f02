"""The same events from many clients at once, through two processes: stored once each, and without a deadlock."""

from __future__ import annotations

import http.client
import json
import random
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.api.faults.system import DRAIN_SECONDS, Api, report, spooled_groups
from tests.databases import Postgres
from tests.sizes import sized
from tests.waiting import wait_until

pytestmark = pytest.mark.slow
COPIES = 10
CLIENTS = 32
BATCH = 50


def test_ten_copies_of_every_id_by_32_clients(api: Api, postgres: Postgres) -> None:
    ids = sized(1_000, 10_000)
    chance = random.Random(31)
    names = [str(uuid.UUID(int=chance.getrandbits(128))) for _ in range(ids)]
    copies = names * COPIES
    chance.shuffle(copies)
    bodies = [body(copies[start : start + BATCH]) for start in range(0, len(copies), BATCH)]
    api.workers = 2
    api.start()
    log = postgres.server.folder / "log"
    printed_before = log.stat().st_size
    with ThreadPoolExecutor(CLIENTS) as clients:
        accepted = sum(clients.map(lambda client: send(api, bodies[client::CLIENTS]), range(CLIENTS)))
    # On a busy machine some wait longer than the API waits for Postgres, and take the other way.
    spooled = spooled_groups(api.home)
    wait_until(lambda: spooled_groups(api.home) == 0, "the spool is drained", DRAIN_SECONDS)
    with psycopg.connect(api.database_url) as connection:
        stored = {name for (name,) in connection.execute("SELECT event_id::text FROM event_logs")}
        booked = connection.execute(
            "SELECT sum(received)::int, sum(stored)::int, sum(duplicate)::int, sum(conflict)::int FROM ingestion_ledger"
        ).fetchone()
    with log.open("rb") as file:
        file.seek(printed_before)
        deadlocks = file.read().count(b"deadlock detected")
    report(
        f"{ids} ids {COPIES} times",
        f"accepted {accepted}",
        f"rows {len(stored)}",
        f"deadlocks {deadlocks}",
        f"spooled {spooled}",
        booked,
    )
    assert accepted == ids * COPIES
    assert stored == set(names)
    assert booked == (ids * COPIES, ids, ids * (COPIES - 1), 0)
    assert deadlocks == 0


def body(ids: Sequence[str]) -> bytes:
    events = [{"event_id": name, "event_name": "app_opened", "occurred_at": "2026-01-01T00:00:00Z"} for name in ids]
    return json.dumps({"anonymous_user_id": "user_1", "events": events}).encode()


def send(api: Api, bodies: Sequence[bytes]) -> int:
    """Send bodies over one connection, and return how many of their events were accepted."""
    accepted = 0
    connection = http.client.HTTPConnection("127.0.0.1", api.port, timeout=60)
    try:
        for content in bodies:
            connection.request("POST", "/v1/events", content, {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            assert response.status == 200, answer
            accepted += answer["accepted"]
    finally:
        connection.close()
    return accepted
