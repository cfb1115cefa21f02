"""Routes of the campaign protocol: every request has a key, counts against its tenant's limit, and fails in one shape.

That shape is `{"statusCode", "message", "error"}`, the message a text or a list of texts, one per wrong field.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from api.access.guard import known_caller
from api.answers import JsonAnswer
from api.errors import ApiError
from api.raw_route import RawRoute
from api.state import services

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class CampaignErrorBody(BaseModel):
    """Every answer of the campaign endpoints that is not a success."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"statusCode": 400, "message": ["userId should not be empty"], "error": "Bad Request"}]
        }
    )

    statusCode: int
    message: str | list[str]
    error: str


class CampaignError(ApiError):
    """A failure with one message, or with one for each wrong field."""

    def __init__(self, status: int, message: str | Sequence[str], headers: Mapping[str, str] | None = None) -> None:
        self.messages: str | list[str] = message if isinstance(message, str) else list(message)
        super().__init__(status, message if isinstance(message, str) else "; ".join(message), headers)

    def response(self) -> Response:
        """Return the answer to send."""
        self.answered()
        return campaign_failure(self.status, self.messages, self.headers)


class CampaignRoute(RawRoute):
    """A raw route whose endpoint is called for known keys alone, as often as their tenant may ask.

    The second part of its path names the limit: `/api/events/batch` counts as `events`. Which scope a request needs is
    the endpoint's to check, with `caller_of`.
    """

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        headers: Mapping[str, str] = {}
        try:
            caller = known_caller(request)
            allowance = await services(request).limiter.take(caller.tenant_id, self.path.split("/")[2])
            headers = allowance.headers
            response = await self.endpoint(request)
        except ApiError as error:
            response = failure_of(error)
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)


def failure_of(error: ApiError) -> Response:
    """Return the answer to a failure in the campaign protocol's shape, and count it where it is to be counted."""
    if isinstance(error, CampaignError):
        return error.response()
    error.answered()
    return campaign_failure(error.status, error.message, error.headers)


def campaign_failure(status: int, message: str | list[str], headers: Mapping[str, str] | None = None) -> Response:
    """Build the answer for a failure."""
    content = {"statusCode": status, "message": message, "error": HTTPStatus(status).phrase}
    return JsonAnswer(msgspec.json.encode(content), status, headers)


def campaign_failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the error answers of a route for OpenAPI; those of every campaign route are added."""
    return {
        status: {"model": CampaignErrorBody, "description": HTTPStatus(status).phrase}
        for status in sorted({401, 403, 429, 503, *statuses})
    }
