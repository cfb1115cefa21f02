"""A whole answer leaves in one write, byte for byte as uvicorn would send it; every other answer is left to uvicorn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import JSONResponse, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from api.app import create_app
from api.http_protocol import LimitedProtocol
from pipeline.settings import Settings

REQUEST = b"GET /path HTTP/1.1\r\nhost: x\r\n\r\n"
Headers = list[tuple[bytes, bytes]]
Act = Callable[[HttpToolsProtocol], None]


class RecordingTransport(asyncio.Transport):
    """Keeps what is written to it, write by write."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.writes: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@dataclass(frozen=True)
class Sent:
    """What a client got."""

    writes: list[bytes]
    closed: bool

    @property
    def content(self) -> bytes:
        return b"".join(self.writes)


def answer(
    protocol_class: type[HttpToolsProtocol], app: ASGIApp, request: bytes = REQUEST, act: Act | None = None
) -> Sent:
    """Give a request to a connection whose application is `app`; `act` comes before the application goes on."""

    async def run() -> Sent:
        config = Config(app, ws="none", access_log=False, server_header=False, date_header=False, lifespan="off")
        state = ServerState()
        state.default_headers = [(b"date", b"Sat, 21 Nov 2026 12:00:00 GMT")]
        protocol = protocol_class(config, state, {})
        transport = RecordingTransport()
        protocol.connection_made(transport)
        protocol.data_received(request)
        if act is not None:
            act(protocol)
        while state.tasks:
            await asyncio.gather(*state.tasks, return_exceptions=True)
        writes, closed = transport.writes, transport.closed
        protocol.connection_lost(None)
        return Sent(writes, closed)

    return asyncio.run(run())


def both(app: ASGIApp, request: bytes = REQUEST, act: Act | None = None) -> tuple[Sent, Sent]:
    """What our protocol sends, and what uvicorn's does."""
    return answer(LimitedProtocol, app, request, act), answer(HttpToolsProtocol, app, request, act)


def plain(body: bytes = b"{}", headers: Headers | None = None, status: int = 200) -> ASGIApp:
    """An application that answers in one piece; with the length of the body, unless `headers` are given."""

    async def app(_: Scope, __: Receive, send: Send) -> None:
        given = [(b"content-length", b"%d" % len(body))] if headers is None else headers
        await send({"type": "http.response.start", "status": status, "headers": given})
        await send({"type": "http.response.body", "body": body})

    return app


@pytest.mark.parametrize("status", [200, 202, 400, 503])
def test_a_whole_json_answer_is_one_write(status: int) -> None:
    ours, theirs = both(JSONResponse({"ok": True}, status, {"retry-after": "1"}))
    assert len(ours.writes) == 1
    assert len(theirs.writes) == 2
    assert ours.content == theirs.content
    assert ours.content.startswith(b"HTTP/1.1 %d " % status)
    assert ours.content.endswith(b'\r\n\r\n{"ok":true}')
    assert not ours.closed


def test_answers_to_pipelined_requests_are_one_write_each_and_in_order() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse(scope["path"])(scope, receive, send)

    requests = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(3))
    ours, theirs = both(app, requests)
    assert [write[-4:] for write in ours.writes] == [b'"/0"', b'"/1"', b'"/2"']
    assert ours.content == theirs.content


def test_every_answer_of_the_api_itself_is_one_write(tmp_path: Path) -> None:
    """With the headers that the request log adds, and the date."""
    app = create_app(Settings.model_validate({"home": tmp_path}))
    requests = (
        b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n{",
        b"POST /v1/assignment HTTP/1.1\r\nhost: x\r\ncontent-length: 27\r\n\r\n" + b'{"anonymous_user_id": "u1"}',
    )
    ours = [answer(LimitedProtocol, app, request) for request in requests]
    assert [sent.content.split()[1] for sent in ours] == [b"200", b"404", b"400", b"503"]
    assert [len(sent.writes) for sent in ours] == [1] * len(requests)
    assert all(b"\r\ndate: " in sent.content for sent in ours)


def test_an_answer_without_a_body_is_one_write() -> None:
    ours, theirs = both(plain(b""))
    assert ours.writes == [theirs.content]


async def stream(_: Scope, __: Receive, send: Send) -> None:
    async def pieces() -> Any:
        yield b"one"
        yield b"two"

    await StreamingResponse(pieces())({"type": "http"}, __, send)


REQUESTS = {
    "HEAD": b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n",
    "connection: close": b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("request_name", REQUESTS)
def test_other_requests_are_answered_as_by_uvicorn(request_name: str) -> None:
    ours, theirs = both(JSONResponse({"ok": True}), REQUESTS[request_name])
    assert ours == theirs
    assert ours.content
    assert ours.closed is (request_name != "HEAD")


LENGTH = (b"content-length", b"2")
ANSWERS: dict[str, ASGIApp] = {
    "in pieces": stream,
    "without a length": plain(headers=[]),
    "in chunks": plain(headers=[(b"transfer-encoding", b"chunked")]),
    "with a length, and in chunks": plain(headers=[LENGTH, (b"transfer-encoding", b"chunked")]),
    "longer than it says": plain(headers=[(b"content-length", b"1")]),
    "shorter than it says": plain(headers=[(b"content-length", b"3")]),
    "with two lengths": plain(headers=[(b"content-length", b"5"), LENGTH]),
    "which is the last": plain(headers=[LENGTH, (b"connection", b"close")]),
    "with capitals": plain(headers=[LENGTH, (b"Content-Type", b"a/b")]),
    "with a line break in a value": plain(headers=[LENGTH, (b"content-type", b"a\r\nset-cookie: b")]),
    "with half a line break in a value": plain(headers=[LENGTH, (b"content-type", b"a\rb")]),
    "with a control character in a value": plain(headers=[LENGTH, (b"content-type", b"a\0b")]),
    "with a line break in a name": plain(headers=[LENGTH, (b"content-type: a\r\ny", b"b")]),
    "with a space in a name": plain(headers=[LENGTH, (b"x name", b"b")]),
    "with a header of its own": plain(headers=[LENGTH, (b"x-name", b"value")]),
    "without a name": plain(headers=[LENGTH, (b"", b"b")]),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_other_answers_are_sent_as_by_uvicorn(kind: str) -> None:
    ours, theirs = both(ANSWERS[kind])
    assert (ours.content, ours.closed) == (theirs.content, theirs.closed)
    assert b"set-cookie" not in ours.content


def test_a_header_with_a_tab_and_other_letters_is_still_one_write() -> None:
    ours, theirs = both(plain(headers=[LENGTH, (b"content-type", "a\tb; é".encode("latin-1"))]))
    assert ours.writes == [theirs.content]


def failing(after_start: bool) -> ASGIApp:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        if after_start:
            await send({"type": "http.response.start", "status": 200, "headers": [LENGTH]})
        raise KeyError("a defect")

    return app


def test_an_application_that_fails_before_its_answer_gets_uvicorns() -> None:
    ours, theirs = both(failing(after_start=False))
    assert ours == theirs
    assert ours.content.startswith(b"HTTP/1.1 500 ")
    assert ours.closed


def test_an_application_that_fails_within_its_answer_ends_the_connection() -> None:
    """uvicorn has sent the head by then. Ours may keep it back, but must not leave the client waiting."""
    ours, theirs = both(failing(after_start=True))
    assert theirs.closed
    assert ours.closed
    assert theirs.content.startswith(ours.content)


def test_a_second_start_is_refused_as_by_uvicorn() -> None:
    async def app(_: Scope, __: Receive, send: Send) -> None:
        for _ in range(2):
            await send({"type": "http.response.start", "status": 200, "headers": [LENGTH]})

    ours, theirs = both(app)
    assert theirs.closed
    assert ours.closed


def test_no_100_continue_follows_an_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"ok": False}, 413)(scope, receive, send)
        await receive()

    request = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    ours, theirs = both(app, request)
    assert ours.content == theirs.content
    assert b"100 Continue" not in ours.content
    assert len(ours.writes) == 1


def test_100_continue_comes_before_the_answer() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        waiting.cancel()
        await JSONResponse({"ok": True})(scope, receive, send)

    request = b"POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    ours, theirs = both(app, request)
    assert ours.writes[0] == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert len(ours.writes) == 2
    assert ours.content == theirs.content


def test_while_the_client_reads_nothing_an_answer_waits() -> None:
    """The transport's buffer is full: nothing more is written until it is empty."""
    seen: list[list[bytes]] = []

    def pause(protocol: HttpToolsProtocol) -> None:
        protocol.pause_writing()
        transport = protocol.transport
        assert isinstance(transport, RecordingTransport)

        def go_on(turns: int) -> None:
            if turns:  # the application has some, and would use them
                asyncio.get_running_loop().call_soon(go_on, turns - 1)
                return
            seen.append(list(transport.writes))
            protocol.resume_writing()

        go_on(20)

    ours, theirs = both(JSONResponse({"ok": True}), act=pause)
    assert seen == [[], []]
    assert ours.content == theirs.content
    assert ours.content.endswith(b'{"ok":true}')


def test_nothing_is_written_to_a_client_that_left() -> None:
    ours, theirs = both(JSONResponse({"ok": True}), act=lambda protocol: protocol.connection_lost(None))
    assert ours.writes == theirs.writes == []
