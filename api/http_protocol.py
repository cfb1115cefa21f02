"""HTTP/1.1 of one connection: uvicorn's, with limits on time and size that a client cannot get around.

uvicorn by itself waits for ever for a request that has begun, keeps headers of any size, and reads on while pipelined
requests wait. Refusals at this level are in the API's error shape, and close the connection.
"""

from __future__ import annotations

import asyncio
import json
import re
from enum import Enum
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from api.bodies import TOO_SLOW
from api.errors import TITLES

if TYPE_CHECKING:
    from starlette.types import ASGIApp

# From a connection, or the answer before, to the end of a request's headers.
HEAD_SECONDS = 10.0
# From a request's first byte to its last.
REQUEST_SECONDS = 30.0
# For a client to take a bit more of an answer that it does not read.
STALLED_SECONDS = 30.0
MIN_BYTES_TAKEN = 2 * 2**10
# How often a connection is looked at: the times above are exceeded by up to this.
LOOK_SECONDS = 2.0
MAX_HEAD_BYTES = 64 * 2**10
MAX_HEADERS = 100
# Of a request in chunks: what comes beside the body, as sizes, extensions and trailers.
MAX_FRAMING_BYTES = 256 * 2**10
# Requests that a client may send on one connection before it has the answer to the first.
MAX_PIPELINED = 100
# Of one process; beyond, the connection that has waited longest for its client makes room.
MAX_CONNECTIONS = 800

# Headers that say nothing of the connection or of how the body is sent, and values as uvicorn lets them pass.
PLAIN_HEADERS = frozenset(
    (
        b"date",
        b"server",
        b"content-length",
        b"content-type",
        b"x-request-id",
        b"x-content-type-options",
        b"cache-control",
        b"retry-after",
    )
)
CONTROL_CHARACTERS = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

MALFORMED = (400, "This is not an HTTP/1.1 request.")
HEAD_TOO_LARGE = (431, f"The request line and headers exceed {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers.")
HEAD_TOO_SLOW = (408, f"The headers took longer than {HEAD_SECONDS:.0f} s to arrive.")


class Receiving(Enum):
    """What of a request is on its way."""

    NOTHING = 0
    HEAD = 1
    BODY = 2


class RefusedRequestError(Exception):
    """Stops the parser; the refusal is in the protocol."""


class WholeAnswer(RequestResponseCycle):
    """One request and its answer. An answer that is given in one piece leaves in one write, not two: each is a system
    call here and a wake-up of the client, which together cost a tenth of storing an event.
    """

    _start: dict[str, Any] | None = None

    async def send(self, message: Any) -> None:  # noqa: ANN401 - uvicorn's types of messages are private
        """Hold the start of the answer until the first of its body is here."""
        start, self._start = self._start, None
        if not self.response_started and message["type"] == "http.response.start":
            self._start = message
            self.response_started = True  # as for uvicorn: an application that fails now gets no second start
        elif start is None:
            await super().send(message)
        elif not self._sent_whole(start, message):
            self.response_started = False
            held: Any = start
            await super().send(held)
            await super().send(message)

    def _sent_whole(self, start: dict[str, Any], message: dict[str, Any]) -> bool:
        """Send an answer that is whole, of known length and to be followed by others; leave any other to uvicorn."""
        body = message.get("body", b"")
        if (
            message.get("more_body")
            or not self.keep_alive
            or self.disconnected
            or self.access_log
            or self.flow.write_paused
            or self.scope["method"] == "HEAD"
            or message["type"] != "http.response.body"
        ):
            return False
        headers = [*self.default_headers, *start.get("headers", ())]
        fields = dict(headers)
        if (
            fields.get(b"content-length") != b"%d" % len(body)
            or len(fields) != len(headers)
            or not fields.keys() <= PLAIN_HEADERS
            or CONTROL_CHARACTERS.search(b"".join(fields.values()))
        ):
            return False
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        self.response_complete = True
        self.waiting_for_100_continue = False
        self.transport.write(b"%b%b\r\n%b" % (STATUS_LINE[start["status"]], lines, body))
        self.message_event.set()
        self.on_response()
        return True


class LimitedProtocol(HttpToolsProtocol):
    """One connection.

    Times are the system's: those of the loop are the same for all that it takes up in one turn, and then nothing says
    which of many new connections came first.
    """

    head_seconds = HEAD_SECONDS
    request_seconds = REQUEST_SECONDS
    stalled_seconds = STALLED_SECONDS
    look_seconds = LOOK_SECONDS
    max_connections = MAX_CONNECTIONS
    transport: asyncio.Transport
    _watch: asyncio.TimerHandle

    # Protocol interface

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Begin to watch the connection; beyond the most of them, another one ends."""
        super().connection_made(transport)
        self._receiving = Receiving.NOTHING
        self._since = monotonic()  # when the client's turn began
        self._stalled_since = 0.0
        self._unread = 0  # bytes of answers that the client has not taken
        self._is_over = False  # nothing is read any more
        self._refusal = MALFORMED
        self._chunk_size = 0
        self._surplus = 0  # bytes of this request that are not its body, but for those of the first piece
        self._watch = self.loop.call_later(self.look_seconds, self._look)
        if len(self.connections) > self.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the watch."""
        self._is_over = True
        self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the connection is over; count what is not body."""
        if self._is_over:
            return
        self._chunk_size = len(data)
        super().data_received(data)
        if self._receiving is not Receiving.NOTHING:
            self._surplus += len(data)
            in_head = self._receiving is Receiving.HEAD
            if self._surplus > (MAX_HEAD_BYTES if in_head else MAX_FRAMING_BYTES):
                self._refuse(HEAD_TOO_LARGE)

    def eof_received(self) -> bool:  # type: ignore[override] # asyncio's signature, uvicorn's is narrower
        """Go on when the client has sent all of its requests and only waits for answers; else close."""
        if not self._is_answering() or (self._receiving is not Receiving.NOTHING and not self._is_over):
            return False
        self._is_over = True
        self.cycle.keep_alive = False
        return True

    # Callbacks of the parser

    def on_message_begin(self) -> None:
        """Note when a request began."""
        self._receiving = Receiving.HEAD
        self._since = monotonic()
        self._surplus = -self._chunk_size
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Start the request, unless its headers are too large or too many requests wait."""
        if len(self.headers) > MAX_HEADERS or (
            self._chunk_size > MAX_HEAD_BYTES
            and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES
        ):
            self._refusal = HEAD_TOO_LARGE
            raise RefusedRequestError
        if len(self.pipeline) >= MAX_PIPELINED:
            raise RefusedRequestError
        super().on_headers_complete()
        self._receiving = Receiving.BODY

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of the body; those are counted by who reads them."""
        self._surplus -= len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is here."""
        self._receiving = Receiving.NOTHING
        super().on_message_complete()

    # Callbacks of the answers

    def on_response_complete(self) -> None:
        """Note when the client's turn begins again, and begin the next request that is here.

        As uvicorn does, but without a timer for each answer, which costs as much as reading a request: `_look` closes
        connections on which nothing comes.
        """
        self._since = monotonic()
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)  # type: ignore[arg-type] # as uvicorn declares it

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser stopped at; uvicorn's own text is not in the error shape."""
        self._refuse(self._refusal)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGIApp) -> None:  # type: ignore[override]
        cycle.__class__ = WholeAnswer
        super()._start_asgi_task(cycle, app)  # type: ignore[arg-type]

    def _refuse(self, refusal: tuple[int, str]) -> None:
        """Answer and close; requests that came whole before get their answers first, and this one then gets none."""
        self._is_over = True
        if self._receiving is Receiving.BODY:
            if self.pipeline or self.cycle.response_started:
                self.transport.abort()
                return
        elif self._is_answering():
            self.cycle.keep_alive = False
            return
        status, message = refusal
        title = TITLES.get(status) or HTTPStatus(status).phrase
        content = json.dumps({"error": title, "message": message}).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content)
        self.transport.write(STATUS_LINE[status] + head + content)
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        """End what lasts too long. A timer of the connection does this: one for each request would cost more."""
        self._watch = self.loop.call_later(self.look_seconds, self._look)
        now = monotonic()
        waited = now - self._since
        unread, self._unread = self._unread, self.transport.get_write_buffer_size()
        if self._unread:
            if not unread or unread - self._unread >= MIN_BYTES_TAKEN:
                self._stalled_since = now
            elif now - self._stalled_since > self.stalled_seconds:
                self.transport.abort()
        elif self._receiving is Receiving.BODY:
            if waited > self.request_seconds:
                self._end_request()
        elif waited > self.head_seconds and not self._is_answering():
            if self._receiving is Receiving.HEAD:
                self._refuse(HEAD_TOO_SLOW)
            else:
                self.transport.close()

    def _end_request(self) -> None:
        """Let the route answer that the body did not come in time; when it has answered already, just close."""
        if not self._is_answering():
            self.transport.close()
            return
        self._is_over = True
        self.cycle.scope.setdefault("state", {})[TOO_SLOW] = True
        self.cycle.keep_alive = False
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def _make_room(self) -> None:
        """Close the connection whose client has been waited for longest."""
        waiting = [
            connection
            for connection in self.connections
            if isinstance(connection, LimitedProtocol)
            and (connection._receiving is not Receiving.NOTHING or not connection._is_answering())
            and not connection.transport.is_closing()
        ]
        min(waiting, key=lambda connection: connection._since).transport.abort()
