"""Reading request bodies: limits on what is held, as sent and after decompression, and turns for what takes long."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request

from api.errors import (
    BodyTooLargeError,
    InvalidRequestError,
    OverloadedError,
    RequestTimeoutError,
    UnsupportedEncodingError,
)
from api.json_text import MalformedJsonError, decode_json

MAX_BODY_BYTES = 2**20
# A client that is still sending does not see an answer: this much of a refused body is read and dropped first.
MAX_DISCARDED_BYTES = 32 * 2**20
# What one process holds of bodies whose ends have not come yet: many clients that send and then stall fill memory.
MAX_UNFINISHED_BYTES = 64 * 2**20
# Each costs more than it holds: a body of empty ones would keep the process busy for seconds.
MAX_GZIP_MEMBERS = 16
# Longer bodies are read by a thread: a hostile one takes a second, in which everybody else would wait.
LARGE_BODY_BYTES = 64 * 2**10
MALFORMED_JSON = "Malformed JSON body."
MALFORMED_GZIP = "Malformed gzip body."
GZIP_FORMAT = 16 + zlib.MAX_WBITS
# Set in the state of a request whose body the server does not wait for any longer.
TOO_SLOW = "too_slow"

Result = TypeVar("Result")


class _Unfinished:
    """Counts the bytes held of unfinished bodies."""

    size = 0


_unfinished = _Unfinished()
_large_bodies = ThreadPoolExecutor(1, thread_name_prefix="large-bodies")


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the body, decompressed when it is marked as gzip.

    Raises BodyTooLargeError beyond `limit` bytes (either way of counting), InvalidRequestError for broken gzip,
    UnsupportedEncodingError for other encodings, RequestTimeoutError when the server gave up on a slow client,
    OverloadedError when too many unfinished bodies are held, starlette's ClientDisconnect when the client leaves.
    """
    scope = request.scope
    message = await request.receive()
    if message["type"] != "http.request":
        raise ClientDisconnect
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _read_rest(request, body, limit)
    if TOO_SLOW in scope.get("state", ()):
        raise RequestTimeoutError
    encoding = _encoding(scope["headers"])
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnsupportedEncodingError
    if len(body) > limit:
        raise BodyTooLargeError(limit)
    return body if encoding == "identity" else _decompress(body, limit)


async def read_in_turn(body: bytes, read: Callable[[], Result]) -> Result:
    """Return what `read` makes of a body: at once, or for a large one in a thread, one of them at a time."""
    if len(body) <= LARGE_BODY_BYTES:
        return read()
    return await asyncio.get_running_loop().run_in_executor(_large_bodies, read)


def read_json(body: bytes) -> object:
    """Decode a body as `decode_json` does. Raises InvalidRequestError when it is not JSON."""
    try:
        return decode_json(body)
    except MalformedJsonError as error:
        raise InvalidRequestError(MALFORMED_JSON) from error


async def _read_rest(request: Request, first: bytes, limit: int) -> bytes:
    """Return a whole body that did not come in one piece; of one beyond `limit`, something that is too long as well."""
    body = bytearray()
    received = held = 0
    chunk, more = first, True
    try:
        while True:
            received += len(chunk)
            if received <= limit:
                body += chunk
                held += len(chunk)
                _unfinished.size += len(chunk)
                if _unfinished.size > MAX_UNFINISHED_BYTES:
                    raise OverloadedError
            elif not more or received > MAX_DISCARDED_BYTES:
                raise BodyTooLargeError(limit)
            if not more:
                return bytes(body)
            message = await request.receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            chunk, more = message.get("body", b""), message.get("more_body", False)
    finally:
        _unfinished.size -= held


def _encoding(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the body's encoding in lower case; of several, in one header or in more, all of them."""
    given = [value for name, value in headers if name == b"content-encoding"]
    return b",".join(given).decode("latin-1").strip().lower() or "identity" if given else "identity"


def _decompress(body: bytes, limit: int) -> bytes:
    """Decompress one or more gzip members, never holding more than `limit` bytes and a bit."""
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while len(parts) < MAX_GZIP_MEMBERS:
            member = zlib.decompressobj(GZIP_FORMAT)
            part = member.decompress(rest, limit - size + 1)
            size += len(part)
            if size > limit:
                raise BodyTooLargeError(limit)
            parts.append(part)
            if not member.eof:
                raise InvalidRequestError(MALFORMED_GZIP)
            rest = member.unused_data
            if not rest:
                return b"".join(parts)
    except zlib.error as error:
        raise InvalidRequestError(MALFORMED_GZIP) from error
    raise InvalidRequestError(f"The gzip body has more than {MAX_GZIP_MEMBERS} members.")
