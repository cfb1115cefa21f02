"""Lets web pages of origins that a tenant admits call the API with that tenant's key; all others, and by default, not.

A browser asks before it sends the key, so that any tenant's origin gets an answer to that; whether the page may read
the answer to the request itself is decided by the key's own tenant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

from api.access.guard import given_key
from api.errors import DatabaseUnavailableError
from api.identifiers import DEFAULT_TENANT
from api.state import services

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = "GET, POST, PATCH, DELETE"
HEADERS = "content-type, content-encoding, x-api-key, if-match, x-request-id"
EXPOSED = "etag, link, location, ratelimit, ratelimit-policy, retry-after, x-request-id, x-total-count"
PREFLIGHT_SECONDS = 600


class Cors:
    """ASGI application in front of another."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        origin = _origin(scope) if scope["type"] == "http" else None
        if origin is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in request.headers:
            await self._preflight(request, origin)(scope, receive, send)
            return
        allowed = _is_admitted(request, origin)

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"vary", b"Origin")]
                if allowed:
                    headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
                    headers.append((b"access-control-expose-headers", EXPOSED.encode()))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, send_marked)

    def _preflight(self, request: Request, origin: str) -> Response:
        headers = {"vary": "Origin"}
        if services(request).keys.is_any_origin(origin):
            headers |= {
                "access-control-allow-origin": origin,
                "access-control-allow-methods": METHODS,
                "access-control-allow-headers": HEADERS,
                "access-control-max-age": str(PREFLIGHT_SECONDS),
            }
        return Response(status_code=204, headers=headers)


def _origin(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"origin":
            return str(value.decode("latin-1"))
    return None


def _is_admitted(request: Request, origin: str) -> bool:
    """Whether the tenant that a request acts for admits pages of an origin."""
    keys = services(request).keys
    key = given_key(request)
    try:
        caller = None if key is None else keys.find(key)
    except DatabaseUnavailableError:
        return False
    tenant_id = DEFAULT_TENANT if key is None else caller and caller.tenant_id
    terms = keys.terms(tenant_id) if tenant_id else None
    return terms is not None and origin in terms.cors_origins
