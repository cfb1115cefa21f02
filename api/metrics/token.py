"""The dashboard token that protects all metrics but the summary."""

from __future__ import annotations

import hmac
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader

from api.errors import ApiError, UnauthorizedError
from api.state import services

HEADER = "x-dashboard-token"
_scheme = APIKeyHeader(
    name=HEADER, scheme_name="DashboardToken", description="The server's DASHBOARD_TOKEN.", auto_error=False
)


async def require_token(request: Request, token: Annotated[str | None, Security(_scheme)] = None) -> None:
    """Let a request pass whose header holds the token, compared in constant time.

    Raises ApiError 503 when the server has no token, UnauthorizedError when the header is missing or wrong.
    """
    expected = services(request).dashboard_token
    if not expected:
        raise ApiError(503, "Dashboard token is not configured.")
    # Headers arrive decoded as Latin-1; compared as the bytes that were sent.
    if token is None or not hmac.compare_digest(token.encode("latin-1"), expected.encode()):
        raise UnauthorizedError("Missing or invalid dashboard token.")
