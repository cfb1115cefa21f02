"""Reading request bodies: streamed, with a limit on the bytes as sent and on the bytes after decompression."""

from __future__ import annotations

import zlib

from starlette.requests import Request

from api.errors import BodyTooLargeError, InvalidRequestError, UnsupportedEncodingError
from api.json_text import MalformedJsonError, decode_json

MAX_BODY_BYTES = 2**20
# A client that is still sending does not see an answer: this much of a refused body is read and dropped first.
MAX_DISCARDED_BYTES = 32 * 2**20
MALFORMED_JSON = "Malformed JSON body."
MALFORMED_GZIP = "Malformed gzip body."
GZIP_FORMAT = 16 + zlib.MAX_WBITS


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the body, decompressed when it is marked as gzip.

    Raises BodyTooLargeError beyond `limit` bytes (either way of counting), InvalidRequestError for broken gzip,
    UnsupportedEncodingError for other encodings, starlette's ClientDisconnect when the client leaves.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        elif size > MAX_DISCARDED_BYTES:
            break
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise UnsupportedEncodingError
    if size > limit:
        raise BodyTooLargeError(limit)
    body = b"".join(chunks)
    return _decompress(body, limit) if encoding.endswith("gzip") else body


def read_json(body: bytes) -> object:
    """Decode a body as `decode_json` does. Raises InvalidRequestError when it is not JSON."""
    try:
        return decode_json(body)
    except MalformedJsonError as error:
        raise InvalidRequestError(MALFORMED_JSON) from error


def _decompress(body: bytes, limit: int) -> bytes:
    """Decompress one or more gzip members, never holding more than `limit` bytes and a bit."""
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while True:
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
