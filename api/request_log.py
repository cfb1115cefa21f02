"""One JSON line per request on stderr, and the last catch for what nobody expected.

No line ever holds a whole user id: the id a route saw is masked in the finished line, wherever it came from.
"""

from __future__ import annotations

import json
import logging
import re
import secrets
import sys
import time
import traceback
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from starlette.requests import ClientDisconnect

from api.access_log import PATH_CHARACTERS, AccessLine, AccessLog
from api.errors import INTERNAL_ERROR, error_response
from api.identifiers import mask
from api.telemetry import request_ended

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
CLIENT_CLOSED_REQUEST = 499  # nginx's code, in the log only: nobody is there to get an answer
SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
ID_STEP = 0x9E37_79B9_7F4A_7C15


def make_logger(level: str) -> Any:  # noqa: ANN401 - structlog's own type for a lazy logger
    """Return a logger that writes JSON lines of at least `level` to stderr, whole user ids masked."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    return structlog.wrap_logger(
        _Stderr(),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _render_masked,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
    )


def note_user(scope: Scope, anonymous_user_id: str) -> None:
    """Tell the log whose request this is; only the masked id is ever written."""
    scope.setdefault("state", {})["anonymous_user_id"] = anonymous_user_id


class RequestLog:
    """ASGI middleware: gives each request an id, counts and logs how it ended, and answers unexpected exceptions 500.

    With `access_lines` false, or a level above INFO, only requests that failed unexpectedly leave a line.
    """

    def __init__(self, app: ASGIApp, log: Any, *, access_lines: bool = True) -> None:  # noqa: ANN401
        self._app = app
        self._log = log
        self._access_log = AccessLog() if access_lines and log.is_enabled_for(logging.INFO) else None
        self._next_id = secrets.randbits(64)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; only HTTP requests are logged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if self._access_log is not None:
                self._access_log.flush()
            return
        started = time.perf_counter()
        request_id = self._request_id(scope["headers"])
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _marked(message.get("headers", ()), request_id)
            await send(message)

        failure: Exception | None = None
        try:
            await self._app(scope, receive, send_marked)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            failure = error
            if not status:
                await error_response(500, INTERNAL_ERROR)(scope, receive, send_marked)
        seconds = time.perf_counter() - started
        # A route with parameters stands for all of its paths.
        route: Any = scope.get("route")
        path: str = scope["path"] if route is None else route.path
        known = request_ended(path, status, seconds)
        if failure is None and self._access_log is None:
            return
        user = scope.get("state", {}).get("anonymous_user_id")
        shown = path if known else _mask_parts(scope["path"])
        milliseconds = round(seconds * 1000, 1)
        if failure is None and self._access_log is not None:
            now = datetime.now(UTC)
            self._access_log.add(AccessLine(request_id, scope["method"], shown, status, milliseconds, user, now))
        elif failure is not None:
            self._log.error(
                "request failed",
                request_id=request_id,
                method=scope["method"],
                path=shown[:PATH_CHARACTERS],
                status=status,
                milliseconds=milliseconds,
                anonymous_user_id=user,
                **describe(failure),
            )

    def _request_id(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the id that the client offers, else one of 16 hexadecimal digits of our own."""
        for name, value in headers:
            if name == b"x-request-id":
                offered = value.decode("latin-1")
                if REQUEST_ID.fullmatch(offered):
                    return offered
        # Steps of an odd number visit every value once; the start is random in each process.
        self._next_id = (self._next_id + ID_STEP) % 2**64
        return f"{self._next_id:016x}"


def _marked(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer with the request's id, and the security headers that the route did not set."""
    given = [*headers]
    names = {name for name, _ in given}
    given.append((b"x-request-id", request_id.encode("latin-1")))
    given += [header for header in SECURITY_HEADERS if header[0] not in names]
    return given


def _mask_parts(path: str) -> str:
    """Mask the long parts of a path that is none of ours: they may be ids that no route has seen."""
    return "/".join(mask(part) for part in path.split("/"))


def describe(error: BaseException) -> dict[str, object]:
    """Describe an exception for the log. Of Postgres' errors only the code: their details quote stored values."""
    frames = traceback.extract_tb(error.__traceback__)
    described: dict[str, object] = {
        "exception": type(error).__name__,
        "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]],
    }
    if isinstance(error, psycopg.Error):
        described["sqlstate"] = error.sqlstate
    else:
        described["detail"] = str(error)[:500]
    return described


class _Stderr:
    """Writes whole lines to what is stderr at that moment; a log nobody can read must not fail requests."""

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    debug = info = warning = error = msg


def _render_masked(_: object, __: str, event: structlog.typing.EventDict) -> str:
    """Render the line, then mask the request's user id wherever it stands in it: field, path or exception."""
    user = event.get("anonymous_user_id")
    line = json.dumps(event, ensure_ascii=False, default=str)
    if not isinstance(user, str) or mask(user) == user:
        return line
    written = json.dumps(user, ensure_ascii=False)[1:-1]
    return line.replace(written, json.dumps(mask(user), ensure_ascii=False)[1:-1])
