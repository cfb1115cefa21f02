"""The route of every page: the endpoint gets the request as it is, and failures become pages a person can read."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response

from api.dashboard.answers import SignInNeededError, finished, is_fragment, to_sign_in
from api.dashboard.rendering import render
from api.dashboard.theme import theme_of
from api.errors import INTERNAL_ERROR, TITLES, ApiError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class PageRoute(APIRoute):
    """A route of the dashboard: `APIRouter(include_in_schema=False, route_class=PageRoute)`.

    Its endpoint takes the starlette request and returns the response. Without a session it is led to the sign-in.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for this path; one of another method goes FastAPI's way, to its 405."""
        if scope["method"] in (self.methods or ()):
            await self._answer(scope, receive, send)
        else:
            await super().handle(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        failure: Exception | None = None
        try:
            response: Response = await self.endpoint(request)
        except SignInNeededError:
            response = to_sign_in(request)
        except ApiError as error:
            error.answered()
            response = _failed(request, error.status, error.message, error.headers)
        except ClientDisconnect:
            raise
        except Exception as error:
            failure = error
            response = _failed(request, 500, INTERNAL_ERROR, {})
        await finished(request, response)(scope, receive, send)
        if failure is not None:
            raise failure  # the answer is out; the request log writes down what happened


def _failed(request: Request, status: int, message: str, headers: dict[str, str]) -> Response:
    title = TITLES.get(status) or HTTPStatus(status).phrase
    template = "failed_fragment.html" if is_fragment(request) else "failed.html"
    return HTMLResponse(render(template, status=status, title=title, message=message, theme=theme_of(request)),
                        status, headers)  # fmt: skip
