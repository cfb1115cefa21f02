"""Slow, broken and hostile connections: each gets an answer in the error shape or is closed, and nobody else waits."""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from starlette.responses import Response

from api.app import create_app
from api.http_protocol import (
    HEAD_SECONDS,
    LOOK_SECONDS,
    MAX_FRAMING_BYTES,
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    MAX_PIPELINED,
    REQUEST_SECONDS,
    LimitedProtocol,
)
from pipeline.settings import Settings
from tests.api.conftest import SettableClock
from tests.api.servers import NO_TLS, served, server_process
from tests.api.vectors import event
from tests.sizes import FULL
from tests.waiting import wait_until

HEAD_LIMIT, REQUEST_LIMIT = (HEAD_SECONDS, REQUEST_SECONDS) if FULL else (4.0, 10.0)
HASTY_SERVER = f"""
from api.http_protocol import LimitedProtocol
from api.server import main
LimitedProtocol.head_seconds, LimitedProtocol.request_seconds = {HEAD_LIMIT}, {REQUEST_LIMIT}
main()
"""
BATCH = json.dumps({"anonymous_user_id": "u", "events": [event()]}).encode()
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
ERROR_SHAPE = {"/v1/events": {"error", "message"}, "/v1/assignment": {"error", "message"}, "/event": {"errors"}}


class HastyProtocol(LimitedProtocol):
    """The limits in tests: as they are, but times a tenth or less."""

    head_seconds = 0.4
    request_seconds = 1.0
    stalled_seconds = 1.0
    look_seconds = 0.1
    max_connections = 20


@pytest.fixture
def hasty(settings: Settings, clock: SettableClock) -> Iterator[httpx.URL]:
    """The URL of a server that is quick to lose its patience."""
    with served(create_app(settings, clock), HastyProtocol) as url:
        yield httpx.URL(url)


def connect(url: httpx.URL) -> socket.socket:
    return socket.create_connection((url.host, url.port or 80), timeout=30)


def read_to_end(connection: socket.socket) -> bytes:
    """All that a server sends until it closes; a reset ends it too."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(2**16):
            received += piece
    return bytes(received)


def read_answer(connection: socket.socket) -> bytes:
    """One whole answer that says how long it is, on a connection that goes on: it may come in several pieces."""
    answer = b""
    while True:
        head, end, body = answer.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        if end and length is not None and len(body) >= int(length[1]):
            return answer
        piece = connection.recv(2**16)
        assert piece, f"the connection ended after {answer!r}"
        answer += piece


def exchange(url: httpx.URL, content: bytes) -> bytes:
    """Send bytes on a connection of their own, say that this was all, and return the answers."""
    with connect(url) as connection:
        with contextlib.suppress(OSError):  # a server that has closed already: not a ConnectionError but ENOTCONN
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
        return read_to_end(connection)


def drip(connection: socket.socket, byte: bytes, seconds: float) -> bytes:
    """Send a byte now and then until the server answers or closes; return what it sends."""
    with contextlib.suppress(ConnectionError):
        while not select.select([connection], [], [], seconds)[0]:
            connection.sendall(byte)
    return read_to_end(connection)


def statuses(answers: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


def body_of(answer: bytes) -> dict[str, object]:
    """The JSON of an answer that is the last on its connection."""
    body: dict[str, object] = json.loads(answer.rpartition(b"\r\n\r\n")[2])
    return body


def post(path: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "host: x", *headers, "", ""]).encode() + body


def count(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT count(*) FROM event_logs").fetchone()
    assert row is not None
    return int(row[0])


def test_headers_that_take_too_long_are_answered_408(hasty: httpx.URL) -> None:
    with connect(hasty) as connection:
        connection.sendall(b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-slow: ")
        answer = drip(connection, b"a", 0.05)
    assert statuses(answer) == [408]
    assert set(body_of(answer)) == {"error", "message"}


@pytest.mark.parametrize("path", ERROR_SHAPE)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
def test_a_body_that_takes_too_long_is_answered_408_in_the_routes_shape(
    hasty: httpx.URL, connection: psycopg.Connection, path: str, chunked: bool
) -> None:
    with connect(hasty) as slow:
        slow.sendall(post(path, "transfer-encoding: chunked" if chunked else "content-length: 1000"))
        answer = drip(slow, b"1\r\n \r\n" if chunked else b" ", 0.05)
    assert statuses(answer) == [408]
    assert set(body_of(answer)) == ERROR_SHAPE[path]
    assert count(connection) == 0


@pytest.mark.parametrize("byte", [b"", b"\r\n"], ids=["silent", "empty lines"])
@pytest.mark.parametrize("before", [b"", HEALTH], ids=["new", "used"])
def test_a_connection_without_a_request_is_closed(hasty: httpx.URL, byte: bytes, before: bytes) -> None:
    with connect(hasty) as connection:
        connection.sendall(before)
        if before:
            assert statuses(read_answer(connection)) == [200]
        assert drip(connection, byte, 0.05) == b""


def test_the_rest_of_an_answered_request_is_not_waited_for(hasty: httpx.URL) -> None:
    with connect(hasty) as connection:
        connection.sendall(post("/nowhere", "content-length: 1000000"))
        assert statuses(read_answer(connection)) == [404]
        assert drip(connection, b"a", 0.05) == b""


def test_a_client_that_does_not_read_its_answer_is_cut_off(settings: Settings) -> None:
    app = create_app(settings)
    large = 32 * 2**20  # more than the buffers of both systems hold

    @app.get("/large")
    async def answer() -> Response:
        return Response(b"x" * large)

    with served(app, HastyProtocol) as address, socket.socket() as connection:
        url = httpx.URL(address)
        connection.settimeout(30)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        connection.connect((url.host, url.port))
        connection.sendall(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
        ends = (url.port or 0, connection.getsockname()[1])
        wait_until(lambda: ends not in server_ends(), "the server's end is closed")
        assert len(read_to_end(connection)) < large


def server_ends() -> set[tuple[int, int]]:
    """The connections of this process, by the port here and the one there."""
    found = psutil.Process().net_connections("tcp")
    return {(one.laddr.port, one.raddr.port) for one in found if one.raddr}


def test_pipelined_requests_are_answered_in_order(hasty: httpx.URL, connection: psycopg.Connection) -> None:
    batch = post("/v1/events", f"content-length: {len(BATCH)}", body=BATCH)
    last = b"GET /nowhere HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    assert statuses(exchange(hasty, HEALTH + batch + batch + HEALTH + last)) == [200, 200, 200, 200, 404]
    assert count(connection) == 1


def test_pipelined_requests_beyond_the_limit_close_the_connection(hasty: httpx.URL) -> None:
    answers = statuses(exchange(hasty, HEALTH * 2000))
    assert set(answers) == {200}
    assert MAX_PIPELINED <= len(answers) <= MAX_PIPELINED + 50, "those before the refused one are answered"


def test_a_broken_request_after_a_good_one_does_not_take_its_answer(hasty: httpx.URL) -> None:
    good = post("/v1/events", f"content-length: {len(BATCH)}", body=BATCH)
    answer = exchange(hasty, good + b"\x00\x01nonsense\r\n\r\n")
    assert statuses(answer) == [200]


def large_head(size: int) -> bytes:
    return b"GET /health HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * size + b"\r\n\r\n"


def many_headers(number: int) -> bytes:
    return b"GET /health HTTP/1.1\r\n" + b"".join(b"x-%d: 1\r\n" % index for index in range(number)) + b"\r\n"


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (large_head(10_000), 200),
        (large_head(MAX_HEAD_BYTES), 431),
        (large_head(20 * MAX_HEAD_BYTES), 431),
        (large_head(20 * MAX_HEAD_BYTES)[:-10], 431),
        (many_headers(MAX_HEADERS), 200),
        (many_headers(MAX_HEADERS + 1), 431),
        (many_headers(200_000), 431),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"GET /" + b"a" * 3 * MAX_HEAD_BYTES + b" HTTP/1.1\r\nhost: x\r\n\r\n", 431),
        (b"GET /stats?site_id=" + b"%61" * 10_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", 400),
    ],
    ids=[
        "10 kB header", "64 KiB header", "1 MiB header", "1 MiB header without an end", "100 headers", "101 headers",
        "200,000 headers", "10 kB path", "192 KiB path", "30 kB query",
    ],
)  # fmt: skip
def test_heads_have_limits(client: httpx.Client, content: bytes, status: int) -> None:
    with connect(client.base_url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(content)
        answer = read_answer(connection)
    assert statuses(answer) == [status]
    assert b"application/json" in answer


CHUNKED = post("/v1/events", "transfer-encoding: chunked")


@pytest.mark.parametrize(
    "content",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET /health HTTP/1.1\r\nx: a\x00b\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
        post("/v1/events", "content-length: -1"),
        post("/v1/events", "content-length: abc"),
        post("/v1/events", "content-length: 99999999999999999999999999"),
        post("/v1/events", "content-length: 5", "content-length: 6", body=b"hello"),
        post("/v1/events", "content-length: 5", "transfer-encoding: chunked", body=b"0\r\n\r\n"),
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"FFFFFFFFFFFFFFFFFFFF\r\n",
        CHUNKED + b"5\r\nhello world\r\n0\r\n\r\n",
        CHUNKED + b"%x\r\n" % len(BATCH) + BATCH + b"\r\nX\r\n",
    ],
    ids=[
        "tls", "http 2", "nonsense", "http 9.9", "no colon", "nul in a header", "bytes in the path",
        "negative length", "length no number", "endless length", "two lengths", "length and chunks", "chunk size zz",
        "chunk size -1", "endless chunk", "short chunk size", "a bad chunk after all of a batch",
    ],
)  # fmt: skip
def test_what_is_no_http_is_answered_400_in_the_error_shape_and_stores_nothing(
    client: httpx.Client, connection: psycopg.Connection, content: bytes
) -> None:
    answer = exchange(client.base_url, content)
    assert statuses(answer) == [400]
    assert set(body_of(answer)) == {"error", "message"}
    assert count(connection) == 0


def test_endless_trailers_and_chunk_extensions_end_the_connection(client: httpx.Client) -> None:
    for tail in (b"0\r\n" + b"x: y\r\n" * MAX_FRAMING_BYTES, b"1;" + b"x" * 3 * MAX_FRAMING_BYTES):
        assert statuses(exchange(client.base_url, CHUNKED + tail)) in ([431], [])
    assert client.get("/health").status_code == 200


def test_lengths_that_lie(client: httpx.Client, connection: psycopg.Connection) -> None:
    too_large = exchange(client.base_url, post("/v1/events", f"content-length: {len(BATCH) + 1}", body=BATCH))
    assert statuses(too_large) == [], "the rest never came, and the client left"
    assert count(connection) == 0
    too_small = exchange(client.base_url, post("/v1/events", f"content-length: {len(BATCH) - 1}", body=BATCH))
    assert statuses(too_small)[0] == 400
    assert count(connection) == 0


def test_a_half_closed_connection_gets_its_answer(client: httpx.Client, connection: psycopg.Connection) -> None:
    one_by_one = b"".join(b"1\r\n%c\r\n" % byte for byte in BATCH) + b"0\r\n\r\n"
    for content in (post("/v1/events", f"content-length: {len(BATCH)}", body=BATCH), CHUNKED + one_by_one):
        assert statuses(exchange(client.base_url, content)) == [200]
    assert count(connection) == 1


def test_a_client_that_asks_whether_to_go_on_is_told_so(client: httpx.Client) -> None:
    with connect(client.base_url) as connection:
        connection.sendall(post("/v1/events", f"content-length: {len(BATCH)}", "expect: 100-continue"))
        assert connection.recv(2**16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BATCH)
        assert statuses(read_answer(connection)) == [200]


def test_a_reset_in_the_middle_of_a_body_stores_nothing(client: httpx.Client, connection: psycopg.Connection) -> None:
    for _ in range(50):
        broken = connect(client.base_url)
        broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        broken.sendall(post("/v1/events", f"content-length: {len(BATCH) + 1}", body=BATCH))
        broken.close()
    assert client.get("/health").status_code == 200
    assert count(connection) == 0


def test_an_upgrade_is_not_made(client: httpx.Client) -> None:
    for upgrade in ("websocket", "h2c"):
        answer = exchange(
            client.base_url,
            f"GET /health HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: {upgrade}\r\n"
            "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode(),
        )
        assert statuses(answer) == [200], upgrade


ROUTES = [
    "/v1/events", "/v1/assignment", "/event", "/stats", "/health", "/ready", "/metrics", "/docs", "/openapi.json",
    "/v1/metrics/summary", "/v1/metrics/daily", "/v1/metrics/experiments", "/v1/metrics/funnels", "/", "/%00", "/%ff",
    "//", "/../etc/passwd", "/v1/events/%2e%2e", "*",
]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_no_method_on_any_route_is_a_failure_of_ours(client: httpx.Client, method: str) -> None:
    for route in ROUTES:
        answer = exchange(
            client.base_url,
            f"{method} {route} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode(),
        )
        (status,) = statuses(answer)
        assert status < 500, route
        if status >= 400 and method != "HEAD":
            shape = {"errors"} if route == "/event" and status == 400 else {"error", "message"}
            assert set(body_of(answer)) in (shape, {"error"}), route


def test_beyond_the_most_connections_the_one_that_waited_longest_makes_room(hasty: httpx.URL) -> None:
    with contextlib.ExitStack() as open_connections:
        idle = [open_connections.enter_context(connect(hasty)) for _ in range(HastyProtocol.max_connections)]
        with connect(hasty) as one_more:
            one_more.sendall(HEALTH)
            assert statuses(read_answer(one_more)) == [200]
            assert read_to_end(idle[0]) == b""


def memory_of(process_id: int) -> int:
    """Resident bytes of a process and its children."""
    process = psutil.Process(process_id)
    return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))


def drip_on_all(connections: list[socket.socket], stop: threading.Event) -> None:
    while not stop.wait(1.0):
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.send(b"a")


def closed(connections: list[socket.socket]) -> Callable[[], bool]:
    """Whether the server ended every one of them."""
    waiting = set(connections)

    def look() -> bool:
        if waiting:
            waiting.difference_update(select.select(list(waiting), [], [], 0)[0])
        return not waiting

    return look


@pytest.mark.slow
def test_two_hundred_slow_clients_take_nothing_from_others(database_url: str, tmp_path: Path) -> None:
    """With TIDEMARK_FAULTS=full, at the times that the product allows."""
    with (
        server_process(database_url, tmp_path / "log", program=("-c", HASTY_SERVER)) as (url, process),
        httpx.Client(base_url=url, timeout=30, verify=NO_TLS) as client,
        contextlib.ExitStack() as open_connections,
    ):
        seconds: list[float] = []

        def send_batch() -> None:
            started = time.perf_counter()
            assert client.post("/v1/events", content=BATCH).status_code == 200
            seconds.append(time.perf_counter() - started)

        for _ in range(200):
            send_batch()
        before, usual = memory_of(process.pid), sorted(seconds)
        seconds.clear()
        beginnings = [b"", b"POST /v1/events HTTP/1.1\r\nx: ", post("/v1/events", "content-length: 9999")]
        slow: list[list[socket.socket]] = []
        for beginning in beginnings:
            slow.append([open_connections.enter_context(connect(httpx.URL(url))) for _ in range(67)])
            for connection in slow[-1]:
                connection.sendall(beginning)
        stop = threading.Event()
        dripping = threading.Thread(target=drip_on_all, args=(slow[1] + slow[2], stop))
        dripping.start()
        began = time.monotonic()
        largest = 0
        lasted = []
        try:
            for connections, limit in zip(slow, (HEAD_LIMIT, HEAD_LIMIT, REQUEST_LIMIT), strict=True):
                all_closed = closed(connections)
                while not all_closed() and not stop.wait(0.005):
                    send_batch()
                    largest = max(largest, memory_of(process.pid))
                    assert time.monotonic() - began < limit + 10 * LOOK_SECONDS
                lasted.append(time.monotonic() - began)
        finally:
            stop.set()
            dripping.join()
    served_meanwhile = sorted(seconds)
    sys.stdout.write(
        f"{sum(map(len, slow))} slow clients: closed after {', '.join(f'{one:.1f} s' for one in lasted)}; meanwhile"
        f" {len(served_meanwhile)} batches stored, p99 {served_meanwhile[len(served_meanwhile) * 99 // 100] * 1000:.1f}"
        f" ms (alone {usual[len(usual) * 99 // 100] * 1000:.1f} ms); memory +{(largest - before) / 2**20:.1f} MiB\n"
    )
    assert largest - before < 50 * 2**20
