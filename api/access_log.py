"""The access log: one JSON line per request on stderr, gathered for a moment and written together.

Lines wait for at most 100 ms, so a killed process loses that much of its access log. Errors and warnings do not come
this way: they are written at once, by the logger of `api.request_log`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import datetime
from typing import Literal

import msgspec

from api.identifiers import mask

FLUSH_SECONDS = 0.1
FLUSH_BYTES = 64 * 2**10
# Writes of up to this size do not mix with those of other processes, also in a pipe.
WRITE_BYTES = 4096
PATH_CHARACTERS = 200


class AccessLine(msgspec.Struct):
    """One answered request: the path in full and the user's id as a route saw it, both shortened when it is written."""

    request_id: str
    method: str
    path: str
    status: int
    milliseconds: float
    anonymous_user_id: str | None
    timestamp: datetime
    event: Literal["request"] = "request"
    level: Literal["info"] = "info"


class AccessLog:
    """Gathers the lines of one event loop; `flush` at the end, the loop's timer does it in between."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None
        self._encode = msgspec.json.Encoder().encode

    def add(self, line: AccessLine) -> None:
        """Take a line; a whole user id in it is masked wherever the client put it. To be called on the event loop."""
        user = line.anonymous_user_id
        if user is not None and len(user) > 12:
            shown = mask(user)
            line.anonymous_user_id = shown
            line.path = line.path.replace(user, shown)
            line.request_id = line.request_id.replace(user, shown)
        line.path = line.path[:PATH_CHARACTERS]
        try:
            encoded = self._encode(line)
        except UnicodeEncodeError:
            # A lone surrogate, which only an id can hold that was refused for it.
            line.anonymous_user_id = None
            encoded = self._encode(line)
        self._lines.append(encoded)
        self._size += len(encoded) + 1
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines, self._size = self._lines, [], 0
        # A log that nobody can read must not fail requests.
        with suppress(OSError, ValueError):
            for chunk in _chunks(lines):
                _write(chunk)


def _chunks(lines: list[bytes]) -> list[bytes]:
    """Join whole lines to pieces that can be written at once."""
    chunks = []
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        if waiting and size + len(line) + 1 > WRITE_BYTES:
            chunks.append(b"\n".join((*waiting, b"")))
            waiting, size = [], 0
        waiting.append(line)
        size += len(line) + 1
    if waiting:
        chunks.append(b"\n".join((*waiting, b"")))
    return chunks


def _write(chunk: bytes) -> None:
    """Write to what is stderr at that moment, past its buffer, which would cut lines in two."""
    try:
        descriptor = sys.stderr.fileno()
    except ValueError:
        sys.stderr.write(chunk.decode())
        return
    while chunk:
        chunk = chunk[os.write(descriptor, chunk) :]
