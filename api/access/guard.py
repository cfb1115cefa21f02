"""Which tenant a request acts for: that of its key; without a key, where that is allowed, the default one."""

from __future__ import annotations

from typing import Any

from fastapi import Security
from fastapi.security import APIKeyHeader
from starlette.requests import Request

from api.access.caller import Caller
from api.errors import ForbiddenError, UnauthorizedError
from api.identifiers import DEFAULT_TENANT
from api.state import services
from pipeline.access.keys import Scope

HEADER = "x-api-key"
_HEADER = HEADER.encode()
KEY_REQUIRED = "An API key is required: send it in the header X-API-Key."
_scheme = APIKeyHeader(name="X-API-Key", scheme_name="ApiKey", description="A tenant's API key.", auto_error=False)
# For routes, so that their documentation asks for the key; the routes themselves check it.
documented_key = Security(_scheme)
# For the description of routes that work without a key, too (openapi_extra).
optional_key: dict[str, Any] = {"security": [{"ApiKey": []}, {}]}


def given_key(request: Request) -> str | None:
    """Return the API key of a request, as its bytes read in UTF-8; None without one. Of several, the last counts."""
    found = None
    for name, value in request.scope["headers"]:
        if name == _HEADER:
            found = value
    return None if found is None else found.decode("utf-8", "surrogateescape")


def known_caller(request: Request) -> Caller:
    """Return who asks, whatever their key allows. Raises as `caller_of` does, but for its scope."""
    key = given_key(request)
    if key is None:
        raise UnauthorizedError(KEY_REQUIRED)
    caller = services(request).keys.find(key)
    if caller is None:
        raise UnauthorizedError("The API key is unknown, expired or revoked.")
    return caller


def caller_of(request: Request, scope: Scope) -> Caller:
    """Return who asks with a key that allows `scope`.

    Raises UnauthorizedError without a key or with an unknown one, ForbiddenError with a key that allows other things,
    DatabaseUnavailableError when this process has not read the keys yet.
    """
    caller = known_caller(request)
    if scope not in caller.scopes:
        raise ForbiddenError(f"The API key does not allow this: it lacks the scope '{scope}'.")
    return caller


def tenant_of(request: Request, scope: Scope) -> str:
    """Return the tenant that a request acts for where no key is required, unless REQUIRE_API_KEY is set.

    Raises as `caller_of` does.
    """
    if given_key(request) is not None:
        return caller_of(request, scope).tenant_id
    if services(request).api_key_required:
        raise UnauthorizedError(KEY_REQUIRED)
    return DEFAULT_TENANT
