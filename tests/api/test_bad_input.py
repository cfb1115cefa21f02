"""Whatever clients send: a 4xx, or the event alone is refused and its neighbours are stored; never a 5xx."""

from __future__ import annotations

import gzip
import json
import sys
import uuid
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from api.bodies import MAX_BODY_BYTES, MAX_GZIP_MEMBERS
from api.retail.routes import MAX_VISIT_BYTES
from tests.api import bad_input
from tests.api.conftest import TOKEN
from tests.api.servers import NO_TLS, server_process
from tests.api.vectors import event
from tests.sizes import sized
from tests.waiting import wait_until

POSTS = ("/v1/events", "/v1/assignment", "/event")
GOOD = {
    "/v1/events": {"anonymous_user_id": "u", "events": [event()]},
    "/v1/assignment": {"anonymous_user_id": "u"},
    "/event": {"site_id": "s", "event_type": "page_view", "path": "/"},
}
SUCCESS = {"/v1/events": 200, "/v1/assignment": 200, "/event": 202}
METRICS = ("summary", "daily", "experiments", "funnels")


def good_events(number: int) -> list[bytes]:
    return [json.dumps(event(event_id=str(uuid.uuid4()))).encode() for _ in range(number)]


def batch_of(events: list[bytes]) -> bytes:
    return b'{"anonymous_user_id":"u","events":[' + b",".join(events) + b"]}"


def stored(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


def reasons(path: str, response: httpx.Response) -> str:
    """What an error answer says; its shape is the route's."""
    assert response.headers["content-type"] == "application/json"
    answer: dict[str, Any] = response.json()
    if path == "/event":
        assert set(answer) == {"errors"}
        assert answer["errors"]
        return "; ".join(answer["errors"])
    assert set(answer) == {"error", "message"}
    return str(answer["message"])


@pytest.mark.parametrize("neighbours", [0, 99], ids=["alone", "among 99 good ones"])
def test_a_bad_event_is_refused_alone(client: httpx.Client, connection: psycopg.Connection, neighbours: int) -> None:
    middle = neighbours // 2
    for number, (name, (bad, reason)) in enumerate(bad_input.REFUSED_EVENTS.items(), 1):
        good = good_events(neighbours)
        response = client.post("/v1/events", content=batch_of([*good[:middle], bad, *good[middle:]]))
        assert response.status_code == 200, name
        answer = response.json()
        assert (answer["accepted"], answer["rejected"]) == (neighbours, 1), name
        assert answer["results"][middle]["error"].startswith(reason), name
        assert len(answer["results"][middle]["error"]) < 300, name
        assert stored(connection) == number * neighbours, name
    letters = connection.execute("SELECT count(*) FROM dead_letters").fetchone()
    assert letters == (len(bad_input.REFUSED_EVENTS),)


def test_all_bad_events_in_one_batch_are_refused_each_with_its_reason(
    client: httpx.Client, connection: psycopg.Connection
) -> None:
    small = [(bad, reason) for bad, reason in bad_input.REFUSED_EVENTS.values() if len(bad) < 1000][:50]
    events = [one for (bad, _), good in zip(small, good_events(len(small)), strict=True) for one in (bad, good)]
    answer = client.post("/v1/events", content=batch_of(events)).json()
    assert [result["status"] for result in answer["results"]] == ["rejected", "accepted"] * len(small)
    for (_, reason), result in zip(small, answer["results"][::2], strict=True):
        assert result["error"].startswith(reason)
    assert stored(connection) == len(small)


def test_odd_events_that_are_right_are_stored(client: httpx.Client, connection: psycopg.Connection) -> None:
    for number, (name, odd) in enumerate(bad_input.TAKEN_EVENTS.items(), 1):
        body = b'{"anonymous_user_id":"%d","events":[%b]}' % (number, odd)
        response = client.post("/v1/events", content=body)
        assert (response.status_code, response.json()["accepted"]) == (200, 1), (name, response.text)
        assert stored(connection) == number, name
    connection.execute("SELECT properties, context, occurred_at FROM event_logs").fetchall()  # readable too


@pytest.mark.parametrize("path", POSTS)
def test_what_is_no_json_is_refused(client: httpx.Client, connection: psycopg.Connection, path: str) -> None:
    for name, body in bad_input.MALFORMED_BODIES.items():
        response = client.post(path, content=body)
        if len(body) > MAX_VISIT_BYTES and path == "/event":
            assert response.status_code == 413, name
        else:
            assert (response.status_code, reasons(path, response)) == (400, "Malformed JSON body."), name
    assert stored(connection) == 0


@pytest.mark.parametrize("path", POSTS)
def test_what_is_no_object_is_refused(client: httpx.Client, path: str) -> None:
    for name, body in {**bad_input.OTHER_BODIES, **bad_input.EMPTY_BODIES}.items():
        response = client.post(path, content=body)
        assert response.status_code in (400, 413), name
        assert reasons(path, response), name


FIELDS = [
    ("/v1/events", "anonymous_user_id"), ("/v1/events", "session_id"), ("/v1/events", "install_id"),
    ("/v1/events", "app_version"), ("/v1/events", "platform"), ("/v1/events", "sent_at"), ("/v1/events", "events"),
    ("/v1/assignment", "anonymous_user_id"), ("/v1/assignment", "session_id"), ("/v1/assignment", "install_id"),
    ("/v1/assignment", "app_version"), ("/v1/assignment", "platform"),
    ("/event", "site_id"), ("/event", "event_type"), ("/event", "user_id"), ("/event", "path"), ("/event", "timestamp"),
]  # fmt: skip


def with_field(path: str, field: str, value: bytes) -> bytes:
    """A good request, but for one field; it comes last and hence counts."""
    return json.dumps(GOOD[path]).encode()[:-1] + b',"' + field.encode() + b'":' + value + b"}"


@pytest.mark.parametrize(("path", "field"), FIELDS)
def test_a_bad_field_fails_the_request_by_name(
    client: httpx.Client, connection: psycopg.Connection, path: str, field: str
) -> None:
    for name, (value, reason) in bad_input.REFUSED_IDS.items():
        if (path, field) == ("/event", "path") and (b"u0000" not in value and b"\\ud" not in value):
            continue  # a path may hold what an id may not
        response = client.post(path, content=with_field(path, field, value))
        assert response.status_code == 400, name
        said = reasons(path, response)
        if field not in ("platform", "sent_at", "events", "timestamp") and path != "/event":
            assert field in said, name
            assert reason in said, name
        elif path == "/event":
            assert field in said, name
    for name, value in bad_input.WRONG_TYPES.items():
        if (path, field, name) not in (("/event", "user_id", "number"), ("/v1/events", "events", "list")):
            response = client.post(path, content=with_field(path, field, value))
            assert response.status_code == 400, name
            assert reasons(path, response), name
    assert stored(connection) == 0


@pytest.mark.parametrize("path", ["/v1/events", "/v1/assignment"])
def test_odd_ids_are_kept_exactly(client: httpx.Client, connection: psycopg.Connection, path: str) -> None:
    for number, odd in enumerate(bad_input.TAKEN_IDS, 1):
        body = {**GOOD[path], "anonymous_user_id": f" {odd}\u00a0", "session_id": odd}
        response = client.post(path, json=body)
        assert response.status_code == 200, odd
        if path == "/v1/events":
            assert stored(connection) == number
        else:
            assert response.json()["anonymous_user_id"] == odd
    if path == "/v1/events":
        found = connection.execute("SELECT anonymous_user_id FROM event_logs").fetchall()
        assert {row[0] for row in found} == set(bad_input.TAKEN_IDS)
    for blank in bad_input.BLANK_IDS:
        assert client.post(path, json={**GOOD[path], "anonymous_user_id": blank}).status_code == 400


def test_times_of_shops_are_as_strict(client: httpx.Client) -> None:
    ahead = {"2026-02-19T00:05:00.001Z", "2027-01-01"}  # allowed there
    for text in bad_input.BAD_TIMES:
        if text not in ahead:
            response = client.post("/event", json={**GOOD["/event"], "timestamp": text})
            assert response.status_code == 400, text
            assert response.json() == {"errors": ["timestamp must be a valid ISO date string"]}, text


@pytest.mark.parametrize("number", [0, 101, 5_000])
def test_batches_of_a_wrong_size_are_refused(client: httpx.Client, connection: psycopg.Connection, number: int) -> None:
    for events in (good_events(number), [b"1"] * number):
        response = client.post("/v1/events", content=batch_of(events))
        assert response.status_code == 400
        assert "events" in reasons("/v1/events", response)
    assert stored(connection) == 0


CONTENT_TYPES = [
    None, "", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data",
    "application/json; charset=utf-16",
    "application/json;charset=latin-1", "nonsense", "application/xml", "*/*", "a" * 1000,
]  # fmt: skip


@pytest.mark.parametrize("path", POSTS)
def test_bodies_are_read_whatever_their_type_is_said_to_be(client: httpx.Client, path: str) -> None:
    content = b"\xef\xbb\xbf" + json.dumps(GOOD[path]).encode()
    for given in CONTENT_TYPES:
        headers = {} if given is None else {"content-type": given}
        assert client.post(path, content=content, headers=headers).status_code == SUCCESS[path], given


def encoded(path: str) -> Iterator[tuple[str, list[tuple[str, str]], bytes, int]]:
    """Bodies by name, with headers and the status of the answer."""
    plain = json.dumps(GOOD[path]).encode()
    packed = gzip.compress(plain)
    limit = MAX_VISIT_BYTES if path == "/event" else MAX_BODY_BYTES
    said = [("content-encoding", "gzip")]
    fine = SUCCESS[path]
    yield "gzip", said, packed, fine
    yield "x-gzip", [("content-encoding", "X-GZIP")], packed, fine
    yield "identity", [("content-encoding", "identity")], plain, fine
    yield "said to be nothing", [("content-encoding", "")], plain, fine
    yield "two members", said, gzip.compress(plain[:9]) + gzip.compress(plain[9:]), fine
    yield "plain", said, plain, 400
    yield "nothing", said, b"", 400
    yield "cut off", said, packed[:-3], 400
    yield "only a head", said, packed[:10], 400
    yield "wrong sum", said, packed[:-8] + b"\0\0\0\0" + packed[-4:], 400
    yield "wrong size", said, packed[:-4] + b"\1\0\0\0", 400
    yield "rubbish after", said, packed + b"\1rubbish", 400
    yield "twice", said, gzip.compress(packed), 400
    yield "zlib", said, zlib.compress(plain), 400
    yield "too many members", said, packed + gzip.compress(b"") * MAX_GZIP_MEMBERS, 400
    yield "endless members", said, gzip.compress(b"") * (limit // 20), 400
    yield "bomb of 10 GiB", said, bad_input.gzip_bomb(10 * 2**30), 413
    yield "bomb within the limit", said, bad_input.gzip_bomb(2**26)[:limit], 413
    for other in ("br", "deflate", "zstd", "gzip, gzip", "gzip, br", "nonsense", "gzip;q=1"):
        yield other, [("content-encoding", other)], packed, 415
    yield "two headers", [*said, *said], gzip.compress(packed), 415


@pytest.mark.parametrize("path", POSTS)
def test_encodings(client: httpx.Client, path: str) -> None:
    for name, headers, content, status in encoded(path):
        response = client.post(path, content=content, headers=headers)
        assert response.status_code == status, name
        if status >= 400:
            assert reasons(path, response), name


@pytest.mark.parametrize("path", POSTS)
def test_bodies_beyond_the_limit_are_refused(client: httpx.Client, path: str) -> None:
    limit = MAX_VISIT_BYTES if path == "/event" else MAX_BODY_BYTES
    for size in (limit + 1, 10 * 2**20, 40 * 2**20):
        body = b'{"' + b"x" * size + b'":1}'
        pieces = (body[start : start + 2**16] for start in range(0, len(body), 2**16))
        for content in (body, pieces):
            try:
                response = client.post(path, content=content)
            except httpx.WriteError:  # it is not read to the end when it is longer than what is worth reading
                assert size > 32 * 2**20
            else:
                assert response.status_code == 413
                assert reasons(path, response)


TEXTS = [
    "%00", "a%00b", "%ff", "%ed%a0%80", "%c0%af", "x" * 10_000, "%F0%9F%98%80", "%27%3B--", "%25", "%", "%zz", "+",
    "%20",
    "..%2F", "1e9", "-1", "%0d%0aset-cookie:a=b",
]  # fmt: skip
VALUES = [
    "", "0", "-1", "91", "1.5", "1e1", "%2B7", "7%20", "%00", "%ff", "%D9%A7", "9" * 5000, "x",
    "[7]", "null", "NaN", "0x7", "2026-02-30", "2026-2-1", "0000-01-01", "10000-01-01", "infinity", "now", "-infinity",
    "2026-02-18T00:00:00Z", "2026-02-18%00",
]  # fmt: skip


def test_odd_queries_are_answered(client: httpx.Client) -> None:
    headers = {"x-dashboard-token": TOKEN}
    queries = [
        *(f"/stats?site_id={text}" for text in TEXTS),
        *(f"/stats?site_id=s&date={value}" for value in VALUES),
        *("/stats", "/stats?", "/stats?site_id", "/stats?site_id=a&site_id=b", "/stats?site_id[]=a", "/stats?&&=&"),
        "/stats?site_id=s&date=2026-01-01&date=2026-01-02",
        *(f"/v1/metrics/{name}?window_days={value}" for name in METRICS for value in VALUES),
        *(f"/v1/metrics/{name}?window_days=7&window_days=7" for name in METRICS),
        *(f"/v1/metrics/experiments?experiment_id={text}" for text in TEXTS),
        *(f"/v1/metrics/funnels?funnel_name={text}" for text in TEXTS),
        "/v1/metrics/experiments?experiment_id=a&experiment_id=b",
        "/v1/metrics/funnels?" + "a=b&" * 3000,
    ]
    for query in queries:
        response = client.get(query, headers=headers)
        assert response.status_code in (200, 400), query
        assert response.headers["content-type"] == "application/json", query
        if response.status_code == 400:
            assert response.json()["error"], query
    assert client.get("/stats?site_id=s%00").status_code == 400
    assert client.get(f"/stats?site_id={'x' * 256}").status_code == 400


def test_odd_tokens_are_wrong_tokens(client: httpx.Client) -> None:
    for token in (b"", b"\xff\xfe", b"x" * 10_000, "é".encode(), TOKEN.encode() + b" x"):
        response = client.get("/v1/metrics/daily", headers=[(b"x-dashboard-token", token)])
        assert response.status_code == 401
        assert reasons("/v1/metrics/daily", response)


ROUNDS = sized(3, 10)


@pytest.mark.slow
def test_the_worst_bodies_do_not_fill_memory(database_url: str, tmp_path: Path) -> None:
    bodies = {
        "bomb": (bad_input.gzip_bomb(2**26)[:MAX_BODY_BYTES], {"content-encoding": "gzip"}),
        "10 GiB bomb": (bad_input.gzip_bomb(10 * 2**30), {"content-encoding": "gzip"}),
        "10 MB of text": (batch_of([bad_input.with_property(b'"' + b"x" * 10_000_000 + b'"')]), {}),
        "deep": (batch_of([bad_input.with_property(b"[" * 500_000 + b"]" * 500_000)]), {}),
        "numbers": (batch_of([bad_input.with_property(b"[" + b"1," * 500_000 + rb'"\u0000"]')]), {}),
        "lists": (batch_of([bad_input.with_property(b"[" + b"[]," * 340_000 + rb'"\u0000"]')]), {}),
        "quotes": (bad_input.MALFORMED_BODIES["quotes below the cut"], {}),
    }
    with (
        server_process(database_url, tmp_path / "log") as (url, process),
        httpx.Client(base_url=url, timeout=60, verify=NO_TLS) as client,
    ):

        def memory() -> int:
            one = psutil.Process(process.pid)
            return sum(part.memory_info().rss for part in (one, *one.children(recursive=True)))

        def send_all() -> None:
            for name, (body, headers) in bodies.items():
                assert client.post("/v1/events", content=body, headers=headers).status_code < 500, name

        before = memory()
        send_all()
        first = memory()
        for _ in range(ROUNDS - 1):
            send_all()
        last = memory()
        wait_until(lambda: client.get("/health").status_code == 200)
    sys.stdout.write(
        f"{ROUNDS * len(bodies)} of the worst bodies: memory {before / 2**20:.0f} MiB, after one round"
        f" {first / 2**20:.0f} MiB, {last / 2**20:.0f} MiB after {ROUNDS}\n"
    )
    assert first - before < 250 * 2**20
    assert last - first < 50 * 2**20
