"""Rate limits: a tenant gets its rate and no more, over all processes; its floods are nothing to the others."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.access.key_ring import KeyRing
from api.access.rate_limits import RateLimiter, TooManyRequestsError, take
from api.app import create_app
from api.database import Database
from pipeline.access.tenants import update_tenant
from pipeline.settings import Settings
from pipeline.statements import statement
from tests.api.servers import NO_TLS, served, server_process
from tests.api.tenants import key_header, tenant_key
from tests.makers import NOW
from tests.waiting import wait_until

EVENT = {"userId": "u", "eventType": "CLICK"}


def test_a_tenant_that_asks_too_often_is_told_when_to_come_back(
    connection: psycopg.Connection, settings: Settings
) -> None:
    key = tenant_key(connection, "acme", limited=True)
    update_tenant(connection, "acme", rate_limits={"events": 0.1})
    with served(create_app(settings)) as url:
        send = {"url": f"{url}/api/events", "json": EVENT, "headers": key_header(key), "timeout": 30, "verify": NO_TLS}
        first = httpx.post(**send)
        assert first.status_code == 201
        assert first.headers["ratelimit-remaining"] == "0"
        assert first.headers["ratelimit-policy"] == '"events";q=1;w=1'
        second = httpx.post(**send)
        assert second.status_code == 429
        assert 8 <= int(second.headers["retry-after"]) <= 10
        assert second.json()["statusCode"] == 429
        assert second.json()["error"] == "Too Many Requests"
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (1,)


def test_every_endpoint_and_every_tenant_has_a_bucket_of_its_own(
    connection: psycopg.Connection, settings: Settings
) -> None:
    keys = [tenant_key(connection, tenant, limited=True) for tenant in ("ann", "bob")]
    for tenant in ("ann", "bob"):
        update_tenant(connection, tenant, rate_limits={"events": 0.01, "analytics": 0.01})
    with served(create_app(settings)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        for key in keys:
            headers = key_header(key)
            assert client.post("/api/events", json=EVENT, headers=headers).status_code == 201
            # The batch is the same endpoint's: one event more or less is not what a request costs.
            assert client.post("/api/events/batch", json={"events": [EVENT]}, headers=headers).status_code == 429
            assert client.get("/api/analytics/summary", headers=headers).status_code == 200
            assert client.get("/api/analytics/summary", headers=headers).status_code == 429


async def flood(url: str, key: str, seconds: float, tasks: int) -> list[int]:
    """The statuses of requests sent as fast as some connections can."""
    statuses: list[int] = []
    end = time.monotonic() + seconds

    async def send() -> None:
        async with httpx.AsyncClient(verify=NO_TLS, headers=key_header(key), timeout=30) as client:
            while time.monotonic() < end:
                statuses.append((await client.post(f"{url}/api/events", json=EVENT)).status_code)

    await asyncio.gather(*(send() for _ in range(tasks)))
    return statuses


@pytest.mark.slow
def test_two_workers_share_a_tenants_rate(connection: psycopg.Connection, database_url: str, tmp_path: Path) -> None:
    key = tenant_key(connection, "acme", limited=True)
    update_tenant(connection, "acme", rate_limits={"events": 2})
    with server_process(database_url, tmp_path / "log", workers=2) as (url, _):
        wait_until(lambda: httpx.get(f"{url}/health", timeout=30, verify=NO_TLS).status_code == 200)
        started = time.monotonic()
        statuses = asyncio.run(flood(url, key, 4.0, 8))
        seconds = time.monotonic() - started
    accepted = statuses.count(201)
    assert set(statuses) == {201, 429}
    # The bucket, what flowed in meanwhile, and not one more; nor much less, though both processes take in advance.
    assert 0.7 * 2 * 4.0 <= accepted <= 2 * (1 + seconds)


def test_each_process_counts_for_itself_while_the_database_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks for it now and then, not for every request."""
    now = 0.0
    asked = 0

    async def run() -> int:
        nonlocal now, asked
        database = Database(None)
        answer = database.run

        async def count(*arguments: Any, **options: Any) -> Any:
            nonlocal asked
            asked += 1
            return await answer(*arguments, **options)

        monkeypatch.setattr(database, "run", count)
        limiter = RateLimiter(database, KeyRing(database, lambda: NOW), lambda: now)
        granted = 0
        for _ in range(1_000):
            try:
                await limiter.take("default", "analytics")
                granted += 1
            except TooManyRequestsError:
                pass
            now += 0.01
        return granted

    # The bucket of ten, and ten a second for ten seconds.
    assert 100 <= asyncio.run(run()) <= 110
    assert asked <= 3


@given(
    rate=st.floats(0.01, 1_000),
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(1, 50)), min_size=1, max_size=60),
)
def test_no_bucket_gives_more_than_it_held_and_what_flowed_in(rate: float, steps: list[tuple[float, int]]) -> None:
    capacity = max(rate, 1.0)
    full_at = now = 0.0
    granted = 0
    for pause, wanted in steps:
        now += pause
        grant = take(full_at - now, rate, capacity, wanted)
        assert 0 <= grant.granted <= wanted
        granted += grant.granted
        full_at = now + grant.full_in
        assert granted <= capacity + now * rate + 1e-3
        assert grant.granted == wanted or grant.full_in > (capacity - 1) / rate - 1e-3  # refused only when empty


def test_the_database_counts_as_the_process_does(connection: psycopg.Connection, settings: Settings) -> None:
    """The statement and `take` are the same rule."""
    values = {"tenant_id": "default", "endpoint": "events", "rate": 0.001, "capacity": 5.0}
    given = [
        connection.execute(statement("access/take_requests"), {**values, "wanted": wanted}).fetchone()
        for wanted in (2, 2, 2, 1)
    ]
    full_in = 0.0
    for wanted, row in zip((2, 2, 2, 1), given, strict=True):
        assert row is not None
        grant = take(full_in, 0.001, 5.0, wanted)
        assert row[0] == grant.granted
        assert row[1] == pytest.approx(grant.full_in, abs=30)
        full_in = grant.full_in


@pytest.mark.slow
def test_a_flood_of_one_tenant_is_nothing_to_another(
    connection: psycopg.Connection, database_url: str, tmp_path: Path
) -> None:
    """The other is never refused; by how much its answers become slower is measured by benchmarks.tenants."""
    flooding = tenant_key(connection, "flood", limited=True)
    update_tenant(connection, "flood", rate_limits={"events": 0.5})
    normal = tenant_key(connection, "normal", limited=True)
    with server_process(database_url, tmp_path / "log") as (url, _):

        async def normal_traffic() -> list[tuple[int, float]]:
            found = []
            async with httpx.AsyncClient(verify=NO_TLS, headers=key_header(normal), timeout=30) as client:
                for _ in range(60):
                    started = time.perf_counter()
                    status = (await client.post(f"{url}/api/events", json=EVENT)).status_code
                    found.append((status, time.perf_counter() - started))
            return found

        async def both() -> tuple[list[int], list[tuple[int, float]]]:
            return await asyncio.gather(flood(url, flooding, 3.0, 4), normal_traffic())

        statuses, answers = asyncio.run(both())
    assert statuses.count(429) > 20
    assert {status for status, _ in answers} == {201}
