"""POST /event and GET /stats: the retail protocol in front of the spool, and statistics kept as events are stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.guard import optional_key, tenant_of
from api.answers import JsonAnswer
from api.bodies import read_body
from api.errors import ApiError, BodyTooLargeError, documented
from api.ingestion.delivery import Delivery
from api.ingestion.timestamps import cut_to_milliseconds
from api.openapi import json_body, query_parameters
from api.raw_route import RawRoute
from api.request_log import note_user
from api.retail.models import QUEUED, QueuedResponse, StatsError, StatsResponse, VisitErrors, VisitRequest
from api.retail.stats import read_query, read_stats
from api.retail.visits import VisitError, read_visit
from api.state import services

# The longest visit in its most wasteful spelling (12 bytes a character) fits.
MAX_VISIT_BYTES = 128 * 2**10
SITE_ID = {
    "name": "site_id",
    "required": True,
    "description": "The site as its events name it.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000]*$"},
}
DATE = {
    "name": "date",
    "description": "Only this UTC day, `YYYY-MM-DD`. Absent or empty: the whole history.",
    "schema": {"type": "string", "format": "date"},
}

router = APIRouter(tags=["retail"], route_class=RawRoute)
_queued = JsonAnswer(msgspec.json.encode(QUEUED), 202)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the answers to events that are not taken, for OpenAPI."""
    return {status: {"model": VisitErrors, "description": HTTPStatus(status).phrase} for status in statuses}


@router.post(
    "/event",
    summary="Send an event of a web shop",
    status_code=202,
    response_model=QueuedResponse,
    responses=refusals(400, 401, 403, 408, 413, 415, 503),
    openapi_extra=json_body(VisitRequest) | optional_key,
)
async def receive_visit(request: Request) -> Response:
    """Queue one event; answers when it is durable, which needs no database. Every event sent is an event of its own.

    The body is JSON of at most 128 KiB, plain or with `Content-Encoding: gzip` (then the limit holds for both).
    """
    parts = services(request)
    received_at = cut_to_milliseconds(parts.clock())
    try:
        tenant_id = tenant_of(request, "ingest")
        body = await read_body(request, MAX_VISIT_BYTES)
        visit = read_visit(body)
        if visit.user_id:
            note_user(request.scope, visit.user_id)
        running = parts.experiments.running_ids(tenant_id)
        await parts.ingestion.keep(Delivery("retail", tenant_id, received_at, body, running))
    except VisitError as error:
        return _refused(400, error.messages)
    except BodyTooLargeError as error:
        return _refused(error.status, [f"The body exceeds {MAX_VISIT_BYTES} bytes."], error.headers)
    except ApiError as error:
        error.answered()
        return _refused(error.status, [error.message], error.headers)
    return _queued


@router.get(
    "/stats",
    summary="Statistics of a web shop",
    response_model=StatsResponse,
    responses={400: {"model": StatsError, "description": "Invalid query"}, **documented(401, 403, 503)},
    openapi_extra=query_parameters(SITE_ID, DATE) | optional_key,
)
async def site_stats(request: Request) -> Response:
    """Return a site's page views, users and most viewed paths, on one day or over its whole history.

    Exact, and at most seconds behind the events; zeros for a site without any.
    """
    tenant_id = tenant_of(request, "read")
    query = read_query(request)
    stats = await services(request).database.run(lambda connection: read_stats(connection, tenant_id, query), tenant_id)
    return JsonAnswer(msgspec.json.encode(stats))


def _refused(status: int, messages: Sequence[str], headers: Mapping[str, str] | None = None) -> Response:
    return JsonAnswer(msgspec.json.encode({"errors": messages}), status, headers)
