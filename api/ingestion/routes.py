"""POST /v1/events: the mobile protocol in front of the ingestion core."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.guard import optional_key, tenant_of
from api.answers import JsonAnswer
from api.bodies import read_body, read_in_turn
from api.errors import documented
from api.ingestion.delivery import Delivery
from api.ingestion.fast_path import read_batch
from api.ingestion.models import EventsRequest, EventsResponse
from api.ingestion.timestamps import cut_to_milliseconds
from api.openapi import json_body
from api.raw_route import RawRoute
from api.request_log import note_user
from api.state import services
from pipeline.clock import iso_millis

router = APIRouter(tags=["events"], route_class=RawRoute)


@router.post(
    "/v1/events",
    summary="Send events",
    response_model=EventsResponse,
    responses=documented(400, 401, 403, 408, 413, 415, 503),
    openapi_extra=json_body(EventsRequest) | optional_key,
)
async def receive_events(request: Request) -> Response:
    """Store 1 to 100 events of one user; answers when they are committed.

    A wrong envelope fails the request, a wrong event is rejected alone. Sending the same event_id again stores nothing
    twice. The body is JSON of at most 1 MiB, plain or with `Content-Encoding: gzip` (then the limit holds for both).
    """
    parts = services(request)
    tenant_id = tenant_of(request, "ingest")
    received_at = cut_to_milliseconds(parts.clock())
    body = await read_body(request)
    batch = await read_in_turn(body, lambda: read_batch(body, tenant_id, received_at))
    if batch.rows:
        note_user(request.scope, batch.rows[0].anonymous_user_id)
    delivery = Delivery("mobile", tenant_id, received_at, body, parts.experiments.running_ids(tenant_id))
    durable = await parts.ingestion.submit(delivery, batch)
    content = {
        "ok": True,
        "received_at": iso_millis(received_at),
        "accepted": len(durable.rows),
        "rejected": len(durable.errors),
        "results": durable.results(),
    }
    return JsonAnswer(msgspec.json.encode(content))
