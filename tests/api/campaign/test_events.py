"""Events of the campaign protocol: what is stored, what is refused with which messages; none is lost or doubled."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from api.app import create_app
from api.campaign.event_reader import read_campaign_events
from api.ingestion.delivery import Delivery
from api.ingestion.replay import replay
from pipeline.clock import iso_millis
from pipeline.ingestion.dead_letters import Selection
from pipeline.settings import Settings
from tests.api.servers import NO_TLS, served, server_process
from tests.api.tenants import key_header, tenant_key
from tests.databases import Postgres, cloned_database
from tests.makers import NOW
from tests.waiting import wait_until

EVENT: dict[str, Any] = {
    "userId": "user-7",
    "eventType": "CONVERSION",
    "properties": {"experimentId": "exp", "variant": "A", "value": 1.10},
    "timestamp": "2026-02-18T08:30:00.250Z",
}
TYPES = "eventType must be one of the following values: PAGE_VIEW, CLICK, CONVERSION"
ISO = "timestamp must be a valid ISO 8601 date string"
WRONG: list[tuple[Any, list[str]]] = [
    ({}, ["userId should not be empty", TYPES]),
    ({"userId": "", "eventType": "x"}, ["userId should not be empty", TYPES]),
    ({"userId": "  ", "eventType": "CLICK"}, ["userId should not be empty"]),
    ({"userId": 7, "eventType": "click"}, ["userId must be a string", TYPES]),
    ({**EVENT, "userId": "x" * 513}, ["userId must be <= 512 chars"]),
    ({**EVENT, "userId": "a\u0000"}, ["userId contains U+0000, which cannot be stored"]),
    ({**EVENT, "userId": "a\ud800"}, ["userId contains a lone surrogate"]),
    ({**EVENT, "eventType": ["CLICK"]}, [TYPES]),
    ({**EVENT, "properties": []}, ["properties must be an object"]),
    ({**EVENT, "properties": {"a": "\u0000"}}, ["properties.a contains U+0000, which cannot be stored"]),
    ({**EVENT, "timestamp": ""}, [ISO]),
    ({**EVENT, "timestamp": 1_700_000_000}, [ISO]),
    ({**EVENT, "timestamp": "2026-02-30"}, [ISO]),
    ({**EVENT, "timestamp": "1969-12-31"}, ["timestamp must be from 1970-01-01 on and not later than 9999-12-31"]),
    ({**EVENT, "timestamp": "2026-02-19T00:05:00.001Z"}, ["timestamp must not be more than 5 minutes in the future"]),
    ({**EVENT, "eventId": "7"}, ["eventId must be a UUID"]),
    ("event", ["an event must be an object"]),
    (None, ["an event must be an object"]),
]


@pytest.fixture
def key(connection: psycopg.Connection) -> str:
    return tenant_key(connection, "acme")


@pytest.fixture
def campaign(settings: Settings, key: str) -> Iterator[httpx.Client]:
    """A client of a tenant, at the time NOW."""
    with (
        served(create_app(settings, lambda: NOW)) as url,
        httpx.Client(base_url=url, verify=NO_TLS, headers=key_header(key), timeout=30) as client,
    ):
        yield client


def test_an_event_is_stored_with_its_exposure(campaign: httpx.Client, connection: psycopg.Connection) -> None:
    answer = campaign.post("/api/events", json=EVENT)
    assert answer.status_code == 201
    assert answer.json()["status"] == "accepted"
    row = connection.execute(
        "SELECT event_id::text, tenant_id, anonymous_user_id, event_name, occurred_at, received_at, properties::text,"
        " context FROM event_logs"
    ).fetchone()
    assert row is not None
    assert row[:4] == (answer.json()["id"], "acme", "user-7", "CONVERSION")
    assert (iso_millis(row[4]), row[5]) == (EVENT["timestamp"], NOW)
    assert '"value": 1.1' in row[6]
    assert row[7] == {"source": "campaign", "exposure": {"experiment_id": "exp", "variant_id": "A"}}


@pytest.mark.parametrize("properties", [None, {}, {"experimentId": "exp"}, {"experimentId": 1, "variant": "A"}])
def test_without_both_names_there_is_no_exposure(
    campaign: httpx.Client, connection: psycopg.Connection, properties: object
) -> None:
    answer = campaign.post("/api/events", json={"userId": "u", "eventType": "CLICK", "properties": properties})
    assert answer.status_code == 201
    row = connection.execute("SELECT context, occurred_at, properties FROM event_logs").fetchone()
    assert row == ({"source": "campaign"}, NOW, properties or {})


@pytest.mark.parametrize(("event", "messages"), WRONG, ids=lambda value: ascii(value)[:40])
def test_a_wrong_event_is_refused_with_everything_that_is_wrong(
    campaign: httpx.Client, connection: psycopg.Connection, event: object, messages: list[str]
) -> None:
    body = json.dumps(event).encode()
    answer = campaign.post("/api/events", content=body)
    assert (answer.status_code, answer.json()) == (
        400, {"statusCode": 400, "message": messages, "error": "Bad Request"},
    )  # fmt: skip
    batch = campaign.post("/api/events/batch", content=b'{"events":[%b,%b]}' % (json.dumps(EVENT).encode(), body))
    assert batch.status_code == 200
    assert (batch.json()["accepted"], batch.json()["rejected"]) == (1, 1)
    assert batch.json()["results"][1] == {"index": 1, "status": "rejected", "error": "; ".join(messages)}
    wait_until(lambda: connection.execute("SELECT count(*) FROM event_logs").fetchone() == (1,))


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/events", b"", 400),
        ("/api/events", b"{", 400),
        ("/api/events", b'{"userId":"a","eventType":"CLICK"},{"userId":"b","eventType":"CLICK"}', 400),
        ("/api/events", b'{"userId":"a","eventType":"CLICK"}]}', 400),
        ("/api/events", b"[" * 100_000, 400),
        ("/api/events", b'{"userId":NaN}', 400),
        ("/api/events", b" " * (2**20 + 1), 413),
        ("/api/events/batch", b"[]", 400),
        ("/api/events/batch", b'{"events":[]}', 400),
        ("/api/events/batch", b'{"events":{}}', 400),
        ("/api/events/batch", json.dumps({"events": [EVENT] * 101}).encode(), 400),
    ],
)
def test_a_body_that_is_no_request_stores_nothing(
    campaign: httpx.Client, connection: psycopg.Connection, path: str, body: bytes, status: int
) -> None:
    answer = campaign.post(path, content=body)
    assert answer.status_code == status
    assert set(answer.json()) == {"statusCode", "message", "error"}
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (0,)


def test_an_event_with_an_id_is_stored_once_and_one_without_each_time(
    campaign: httpx.Client, connection: psycopg.Connection
) -> None:
    given = str(uuid.UUID(int=7))
    for _ in range(3):
        assert campaign.post("/api/events", json={**EVENT, "eventId": given}).json()["id"] == given
    campaign.post("/api/events/batch", json={"events": [{**EVENT, "eventId": given}, EVENT, EVENT]})
    campaign.post("/api/events", json=EVENT)
    assert connection.execute("SELECT count(*) FROM event_logs").fetchone() == (4,)
    ledger = connection.execute(
        "SELECT sum(received), sum(stored), sum(duplicate) FROM ingestion_ledger WHERE tenant_id = 'acme'"
    ).fetchone()
    assert ledger == (7, 4, 3)


def test_a_delivery_has_the_same_ids_whenever_it_is_read() -> None:
    body = json.dumps({"events": [EVENT, EVENT]}).encode()
    delivery = Delivery("campaign", "acme", NOW, body, nonce=b"n" * 16)
    first, second = (read_campaign_events(delivery) for _ in range(2))
    assert first == second
    assert len({row.event_id for row in first.rows}) == 2
    other = read_campaign_events(Delivery("campaign", "acme", NOW, body, nonce=b"m" * 16))
    assert {row.event_id for row in other.rows}.isdisjoint({row.event_id for row in first.rows})


def test_compressed_bodies_are_read(campaign: httpx.Client) -> None:
    body = gzip.compress(json.dumps(EVENT).encode())
    assert campaign.post("/api/events", content=body, headers={"content-encoding": "gzip"}).status_code == 201


def test_a_refused_event_of_a_batch_is_kept_and_stored_when_it_is_replayed(
    campaign: httpx.Client, connection: psycopg.Connection
) -> None:
    late = {**EVENT, "timestamp": "2026-02-19T01:00:00Z"}
    assert campaign.post("/api/events/batch", json={"events": [EVENT, late]}).json()["rejected"] == 1
    result = replay(connection, Selection(), clock=lambda: NOW + timedelta(hours=2))
    assert (result.replayed, result.stored) == (1, 1)
    stored = connection.execute("SELECT occurred_at FROM event_logs ORDER BY 1 DESC LIMIT 1").fetchone()
    assert stored == (NOW + timedelta(hours=1),)


def test_events_are_kept_while_the_database_is_away_and_stored_once(postgres: Postgres, tmp_path: Path) -> None:
    url = cloned_database(postgres.url())
    with psycopg.connect(url, autocommit=True) as connection:
        key = tenant_key(connection, "acme")
    with (
        server_process(url, tmp_path / "log") as (api, _),
        httpx.Client(base_url=api, verify=NO_TLS, headers=key_header(key), timeout=30) as client,
    ):
        now = {**EVENT, "timestamp": None}
        assert client.post("/api/events", json=now).status_code == 201
        postgres.server.stop()
        ids = [client.post("/api/events", json=now).json()["id"] for _ in range(5)]
        batch = client.post("/api/events/batch", json={"events": [now] * 5})
        ids += [result["event_id"] for result in batch.json()["results"]]
        postgres.server.start()

        def stored() -> set[str]:
            with psycopg.connect(url) as connection:
                return {row[0] for row in connection.execute("SELECT event_id::text FROM event_logs").fetchall()}

        wait_until(lambda: len(stored()) == 11)
        assert set(ids) < stored()
