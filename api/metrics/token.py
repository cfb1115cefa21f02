"""Who may read metrics: the dashboard token, the default tenant's; a tenant's key with scope read, that tenant's."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader

from api.access.guard import caller_of, documented_key, given_key
from api.errors import ApiError, UnauthorizedError
from api.identifiers import DEFAULT_TENANT
from api.state import services

HEADER = "x-dashboard-token"
_scheme = APIKeyHeader(
    name=HEADER, scheme_name="DashboardToken", description="The server's DASHBOARD_TOKEN.", auto_error=False
)


documented_reader = [Security(_scheme), documented_key]


def reading_tenant(request: Request) -> str:
    """Return the tenant whose metrics a request may read: that of its key, else the default one with the token.

    Raises as `caller_of` does with a key, as `require_token` does without.
    """
    if given_key(request) is not None:
        return caller_of(request, "read").tenant_id
    check_token(request, request.headers.get(HEADER))
    return DEFAULT_TENANT


async def require_token(request: Request, token: Annotated[str | None, Security(_scheme)] = None) -> None:
    """Let a request pass whose header holds the token. Raises as `check_token` does."""
    check_token(request, token)


def check_token(request: Request, token: str | None) -> None:
    """Return if `token` is the dashboard's, compared in constant time.

    Raises ApiError 503 when the server has no token, UnauthorizedError when the header is missing or wrong.
    """
    expected = services(request).dashboard_token
    if not expected:
        raise ApiError(503, "Dashboard token is not configured.")
    # Headers arrive decoded as Latin-1; compared as the bytes that were sent.
    if token is None or not hmac.compare_digest(token.encode("latin-1"), expected.encode()):
        raise UnauthorizedError("Missing or invalid dashboard token.")
