"""Errors of the API: one JSON shape, `{"error": title, "message": what to do}`, for every failure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api import telemetry
from api.answers import JsonAnswer

RETRY_AFTER_SECONDS = 2
INTERNAL_ERROR = "Something went wrong on our side. The request can be repeated."
TITLES = {400: "Invalid request", 413: "Payload Too Large"}
MESSAGES = {
    404: "No such route. See /docs for what this server offers.",
    405: "This route does not take that method. See /docs for what it takes.",
}


class ErrorBody(BaseModel):
    """Every answer that is not a success."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"error": "Invalid request", "message": "Malformed JSON body."}]}
    )

    error: str
    message: str


class ApiError(Exception):
    """A failure with its status and a message for the client."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """Return the answer to send."""
        self.answered()
        return error_response(self.status, self.message, self.headers)

    def answered(self) -> None:
        """Count the answer, where its error is one to be counted."""


class InvalidRequestError(ApiError):
    """The request is wrong and will stay so: 400."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class UnauthorizedError(ApiError):
    """The token is missing or wrong: 401."""

    def __init__(self, message: str) -> None:
        super().__init__(401, message)


class ForbiddenError(ApiError):
    """The key is right, and does not allow this: 403."""

    def __init__(self, message: str) -> None:
        super().__init__(403, message)


class RequestTimeoutError(ApiError):
    """The body did not arrive in time; nothing of the request was kept: 408."""

    def __init__(self) -> None:
        super().__init__(408, "The request took too long to arrive. Send less at once.", {"connection": "close"})


class BodyTooLargeError(ApiError):
    """The body exceeds the limit, as sent or decompressed: 413."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The body exceeds {limit} bytes. Send fewer events at once.", {"connection": "close"})


class UnsupportedEncodingError(ApiError):
    """The body is compressed in a way this server does not know: 415."""

    def __init__(self) -> None:
        super().__init__(415, "Content-Encoding must be gzip or identity.", {"accept-encoding": "gzip"})


class NotKeptError(ApiError):
    """Nothing of the request was kept, and it can be repeated as it is: 503. `reason` is one of telemetry.REFUSALS."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(503, message, {"retry-after": str(RETRY_AFTER_SECONDS)})
        self.reason = reason

    def answered(self) -> None:
        """Count the refusal by its reason."""
        telemetry.request_refused(self.reason)


class DatabaseUnavailableError(NotKeptError):
    """The database cannot be reached or does not answer."""

    def __init__(self, reason: str = "database_unavailable") -> None:
        super().__init__("Database is temporarily unavailable. Please retry.", reason)


class OverloadedError(NotKeptError):
    """More is waiting to be stored than this process holds."""

    def __init__(self) -> None:
        super().__init__("Too much is waiting. Please retry.", "queue_full")


def error_response(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    """Build the answer for a failure; the title follows from the status."""
    title = TITLES.get(status) or HTTPStatus(status).phrase
    content = json.dumps({"error": title, "message": message}, ensure_ascii=False)
    return JsonAnswer(content.encode(), status, headers)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the error answers of a route for OpenAPI."""
    return {
        status: {"model": ErrorBody, "description": TITLES.get(status) or HTTPStatus(status).phrase}
        for status in statuses
    }


def add_error_handlers(app: FastAPI) -> None:
    """Answer every failure of a route in the error shape; the request log writes down what is unexpected."""
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(Exception, _unexpected_error)


async def _api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, MESSAGES.get(error.status_code, error.detail), error.headers)


async def _unexpected_error(_: Request, __: Exception) -> Response:
    return error_response(500, INTERNAL_ERROR)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return error_response(400, f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}")
