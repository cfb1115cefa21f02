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
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import psycopg
import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect

from api.errors import error_response
from api.identifiers import mask

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
CLIENT_CLOSED_REQUEST = 499  # nginx's code, in the log only: nobody is there to get an answer
INTERNAL_ERROR = "Something went wrong on our side. The request can be repeated."
SECURITY_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


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
    """ASGI middleware: gives each request an id, logs how it ended, and turns unexpected exceptions into a 500."""

    def __init__(self, app: ASGIApp, log: Any) -> None:  # noqa: ANN401
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection; only HTTP requests are logged."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        offered = Headers(scope=scope).get("x-request-id", "")
        request_id = offered if REQUEST_ID.fullmatch(offered) else secrets.token_hex(8)
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
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
        user = scope.get("state", {}).get("anonymous_user_id")
        event = {
            "request_id": request_id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "milliseconds": round((time.perf_counter() - started) * 1000, 1),
            "anonymous_user_id": user,
        }
        if failure is None:
            self._log.info("request", **event)
        else:
            self._log.error("request failed", **event, **describe(failure))


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
