"""Routes for the endpoints that are called thousands of times a second.

FastAPI documents such a route as any other; a request goes from the server to the endpoint without passing FastAPI's
middleware, routing and models, which would cost more than storing an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.errors import ApiError

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp, Receive, Scope, Send


class RawRoute(APIRoute):
    """A route whose endpoint gets the starlette request as it is, and returns the response to send."""

    def __init__(self, path: str, endpoint: Any, **options: Any) -> None:  # noqa: ANN401 - FastAPI's own signature
        super().__init__(path, endpoint, **options)
        self.app = self._answer

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request that FastAPI's routing found this route for: by itself it would use an app that it made."""
        if scope["method"] in (self.methods or ()):
            await self.app(scope, receive, send)
            return
        # Routing stops at the first route of a path: those of its other methods are to be named, too.
        known: Mapping[str, set[str]] = scope["app"].methods_by_path
        raise HTTPException(405, headers={"allow": ", ".join(sorted(known[self.path]))})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self.endpoint(Request(scope, receive))
        except ApiError as error:
            response = error.response()
        await response(scope, receive, send)


class ShortCut:
    """ASGI application in front of another: takes requests for raw routes without parameters, hands on all others."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._routes: dict[tuple[str, str], ASGIApp] = {
            (method, route.path): route.app
            for route in routes
            if isinstance(route, RawRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        route = self._routes.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        await (route or self._app)(scope, receive, send)
