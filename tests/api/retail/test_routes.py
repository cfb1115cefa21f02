"""POST /event and GET /stats over HTTP: the contract's answers, and statistics that equal what was acknowledged."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import psycopg
import pytest

from api.app import create_app
from api.retail.models import QUEUED, QueuedResponse, StatsError, StatsResponse, VisitErrors
from pipeline.ingestion.event_store import store
from pipeline.settings import Settings
from tests.api.conftest import SettableClock
from tests.api.servers import NO_TLS, served
from tests.makers import NOW, add_experiment, assign
from tests.pipeline.ingestion.retail_world import counted_stats, visit_event
from tests.waiting import wait_until

GOOD = {"site_id": "shop", "event_type": "page_view", "path": "/", "user_id": "ann"}
FRESH_SECONDS = 5.0


def send(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/event", json={**GOOD, **fields})


def stats(client: httpx.Client, **query: Any) -> dict[str, Any]:
    response = client.get("/stats", params=query)
    assert response.status_code == 200, response.text
    StatsResponse.model_validate(response.json(), strict=True)
    content: dict[str, Any] = response.json()
    return content


def stored(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


def test_an_event_is_queued_and_counted_within_five_seconds(client: httpx.Client) -> None:
    response = send(client)
    assert (response.status_code, response.json()) == (202, QUEUED)
    assert QUEUED == {"status": "queued", "message": "Event received and queued for processing"}
    QueuedResponse.model_validate(response.json(), strict=True)
    wait_until(lambda: stats(client, site_id="shop")["total_views"] == 1, "the event shows", FRESH_SECONDS)
    assert stats(client, site_id="shop") == {
        "site_id": "shop", "date": None, "total_views": 1, "unique_users": 1,
        "top_paths": [{"path": "/", "views": 1}],
    }  # fmt: skip


def test_a_day_has_its_own_statistics(client: httpx.Client) -> None:
    send(client)
    send(client, path="/old", timestamp="2025-12-31T23:59:59.999Z", user_id="bob")
    wait_until(lambda: stats(client, site_id="shop")["total_views"] == 2)
    assert stats(client, site_id="shop")["unique_users"] == 2
    today = stats(client, site_id="shop", date="2026-02-19")
    assert (today["date"], today["total_views"], today["top_paths"]) == ("2026-02-19", 1, [{"path": "/", "views": 1}])
    assert stats(client, site_id="shop", date="2025-12-31")["top_paths"] == [{"path": "/old", "views": 1}]
    assert stats(client, site_id="shop", date="2026-01-01")["total_views"] == 0


def test_what_is_stored_is_what_was_sent(client: httpx.Client, connection: psycopg.Connection) -> None:
    send(client, user_id=42, event_type="add to cart", timestamp="2026-02-19T10:00:00+02:00", colour="red")
    wait_until(lambda: stored(connection) == 1)
    row = connection.execute(
        "SELECT tenant_id, anonymous_user_id, event_name, occurred_at, received_at, properties, context FROM event_logs"
    ).fetchone()
    assert row == (
        "default", "42", "add to cart", NOW.replace(hour=8), NOW,
        {"site_id": "shop", "path": "/", "user_id": "42"}, {"source": "retail"},
    )  # fmt: skip


def test_a_visit_carries_its_users_assignments(
    settings: Settings, clock: SettableClock, connection: psycopg.Connection
) -> None:
    add_experiment(connection, "exp_a", {"A": 1})
    assign(connection, ["ann"], "exp_a", "A")
    with served(create_app(settings, clock)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        send(client)
        wait_until(lambda: stored(connection) == 1)
    assert connection.execute("SELECT experiment_map FROM event_logs").fetchone() == ({"exp_a": "A"},)


def test_every_request_is_an_event_of_its_own(client: httpx.Client, connection: psycopg.Connection) -> None:
    with ThreadPoolExecutor(8) as threads:
        answers = Counter(threads.map(lambda _: send(client).status_code, range(200)))
    assert answers == {202: 200}
    wait_until(lambda: stats(client, site_id="shop")["total_views"] == 200)
    assert stored(connection) == 200
    assert connection.execute(
        "SELECT sum(received)::int, sum(stored)::int, sum(duplicate)::int FROM ingestion_ledger"
    ).fetchone() == (200, 200, 0)


def test_statistics_equal_the_acknowledged_events(client: httpx.Client, connection: psycopg.Connection) -> None:
    visits = [
        {
            "site_id": f"shop-{number % 3}",
            "event_type": "page_view" if number % 4 else "click",
            "path": f"/{number % 17}",
            "user_id": f"user-{number % 23}" if number % 5 else None,
            "timestamp": f"2026-02-{number % 7 + 10}T23:59:59Z",
        }
        for number in range(300)
    ]
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda visit: send(client, **visit).status_code, visits)) == {202}
    wait_until(lambda: stored(connection) == 300)
    counted = counted_stats(connection)
    assert len(counted) == 3 * 8
    for (_, site_id, day), (views, users, paths) in counted.items():
        answer = stats(client, site_id=site_id, **({"date": str(day)} if day else {}))
        assert (answer["total_views"], answer["unique_users"], answer["top_paths"]) == (views, users, paths)


def test_without_a_database_events_are_taken_and_statistics_are_503(settings: Settings) -> None:
    away = settings.model_validate({"database_url": "postgresql://127.0.0.1:1/nowhere", "home": settings.home})
    with served(create_app(away)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        assert send(client).status_code == 202
        response = client.get("/stats", params={"site_id": "shop"})
        assert response.status_code == 503
        assert response.headers["retry-after"].isdigit()
        assert "error" in response.json()


def test_events_taken_without_a_database_are_counted_once_it_is_there(
    settings: Settings, clock: SettableClock, connection: psycopg.Connection
) -> None:
    away = settings.model_validate({"database_url": "postgresql://127.0.0.1:1/nowhere", "home": settings.home})
    with served(create_app(away, clock)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        assert [send(client).status_code for _ in range(20)] == [202] * 20
    with served(create_app(settings, clock)) as url, httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client:
        wait_until(lambda: stats(client, site_id="shop")["total_views"] == 20)
    assert stored(connection) == 20


@pytest.mark.parametrize(
    ("content", "errors"),
    [
        (b"", ["site_id is required", "event_type is required", "path is required"]),
        (b"[]", ["site_id is required", "event_type is required", "path is required"]),
        (
            b'{"path": "/", "timestamp": "soon"}',
            ["site_id is required", "event_type is required", "timestamp must be a valid ISO date string"],
        ),
        (json.dumps({**GOOD, "site_id": "x" * 256}).encode(), ["site_id must be at most 255 characters"]),
        (json.dumps({**GOOD, "event_type": "x" * 101}).encode(), ["event_type must be at most 100 characters"]),
        (json.dumps({**GOOD, "path": "/\0"}).encode(), ["path contains U+0000, which cannot be stored"]),
        (b"{", ["Malformed JSON body."]),
        (b"\xff\xfe{\0}\0", ["Malformed JSON body."]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_wrong_event_is_a_400_with_every_reason(
    client: httpx.Client, connection: psycopg.Connection, content: bytes, errors: list[str]
) -> None:
    response = client.post("/event", content=content)
    assert (response.status_code, response.json()) == (400, {"errors": errors})
    assert stored(connection) == 0


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b" " * (128 * 2**10 + 1), {}, 413),
        (gzip.compress(b" " * 2**24), {"content-encoding": "gzip"}, 413),
        (b"no gzip", {"content-encoding": "gzip"}, 400),
        (b"{}", {"content-encoding": "br"}, 415),
    ],
    ids=["long", "gzip bomb", "broken gzip", "brotli"],
)
def test_unreadable_bodies_are_refused_in_the_same_shape(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int
) -> None:
    response = client.post("/event", content=content, headers=headers)
    assert response.status_code == status
    assert len(VisitErrors.model_validate(response.json(), strict=True).errors) == 1


def test_the_longest_event_fits_in_its_most_wasteful_spelling(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    limits = {"site_id": 255, "event_type": 100, "path": 8192, "user_id": 255}
    widest = {name: "\U0001f600" * length for name, length in limits.items()}
    content = json.dumps(widest).encode()
    assert client.post("/event", content=content).status_code == 202
    assert (
        client.post("/event", content=gzip.compress(content), headers={"content-encoding": "gzip"}).status_code == 202
    )
    assert send(client, **{**widest, "event_type": "page_view"}).status_code == 202
    wait_until(lambda: stored(connection) == 3)
    answer = stats(client, site_id=widest["site_id"])
    assert (answer["total_views"], answer["unique_users"]) == (1, 1)
    assert answer["top_paths"] == [{"path": widest["path"], "views": 1}]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("", "site_id is required"),
        ("site_id=", "site_id is required"),
        ("date=2026-02-19", "site_id is required"),
        ("site_id=a&site_id=b", "site_id must be given once"),
        ("site_id=%00", "site_id contains U+0000, which cannot be stored"),
        (f"site_id={'x' * 256}", "site_id must be at most 255 characters"),
        *(
            (f"site_id=shop&date={date}", "date must be a valid date, YYYY-MM-DD")
            for date in (
                "2026-02-30", "0000-01-01", "2026-2-1", "20260219", "-infinity", "today", "%00", "2026-02-19T00:00:00Z",
                "2026-02-19%20", "2026-W08-4", "%D9%A2026-02-19", "1",
            )
        ),
        ("site_id=shop&date=2026-02-19&date=2026-02-19", "date must be given once"),
    ],
)  # fmt: skip
def test_a_wrong_query_is_a_400_that_says_why(client: httpx.Client, query: str, error: str) -> None:
    response = client.get(f"/stats?{query}")
    assert (response.status_code, response.json()) == (400, {"error": error})
    StatsError.model_validate(response.json(), strict=True)


@pytest.mark.parametrize(
    "query",
    [
        "site_id=unknown", "site_id=shop&date=", "site_id=%FF%FE", "site_id=shop&date=0001-01-01&more=1",
        "site_id=shop&date=9999-12-31", "site_id=%0A", "site_id=%27%20OR%201=1", "site_id=shop%20",
    ],
)  # fmt: skip
def test_a_site_or_a_day_without_events_has_zeros(client: httpx.Client, query: str) -> None:
    answer = client.get(f"/stats?{query}").json()
    assert (answer["total_views"], answer["unique_users"], answer["top_paths"]) == (0, 0, [])


def test_another_tenants_sites_stay_unseen(client: httpx.Client, connection: psycopg.Connection) -> None:
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES ('other', 'Other')")
    store(connection, [visit_event(1, tenant_id="other", user_id="ann")])
    assert stats(client, site_id="shop")["total_views"] == 0


def test_the_reference_documents_both_endpoints(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    event, query = paths["/event"]["post"], paths["/stats"]["get"]
    assert set(event["responses"]) == {"202", "400", "401", "403", "408", "413", "415", "503"}
    assert set(query["responses"]) == {"200", "400", "401", "403", "503"}
    schema = event["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["site_id", "event_type", "path"]
    assert [(item["name"], item["required"]) for item in query["parameters"]] == [("site_id", True), ("date", False)]
