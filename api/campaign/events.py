"""POST /api/events and /api/events/batch: the campaign protocol in front of the ingestion core."""

from __future__ import annotations

import os

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.access.guard import caller_of, documented_key
from api.answers import JsonAnswer
from api.bodies import read_body, read_in_turn, read_json
from api.campaign.event_reader import RefusedError, read_campaign_events, read_event
from api.campaign.models import (
    CampaignBatchRequest,
    CampaignEventRequest,
    CampaignEventResponse,
)
from api.campaign.route import CampaignError, CampaignRoute, campaign_failures
from api.ingestion.batch import EventBatch
from api.ingestion.delivery import Delivery
from api.ingestion.models import EventsResponse
from api.ingestion.timestamps import cut_to_milliseconds
from api.json_text import encode_json
from api.openapi import json_body
from api.request_log import note_user
from api.state import services
from pipeline.clock import iso_millis

NONCE_BYTES = 16

router = APIRouter(tags=["campaign events"], route_class=CampaignRoute, dependencies=[documented_key])


@router.post(
    "/api/events",
    summary="Send one event",
    status_code=201,
    response_model=CampaignEventResponse,
    responses=campaign_failures(400, 408, 413, 415),
    openapi_extra=json_body(CampaignEventRequest),
)
async def receive_event(request: Request) -> Response:
    """Store one event; answers when it is committed. Without an `eventId`, every event sent is an event of its own."""
    delivery = _delivery(request)
    body = await read_body(request)
    event = await read_in_turn(body, lambda: read_json(body))
    try:
        row = read_event(event, delivery, 0, delivery.received_at)
    except RefusedError as refusal:
        raise CampaignError(400, refusal.messages) from refusal
    note_user(request.scope, row.anonymous_user_id)
    kept = msgspec.structs.replace(delivery, body=f'{{"events":[{encode_json(event)}]}}'.encode())
    batch = EventBatch(delivery.tenant_id, delivery.received_at, len(kept.body), [row], [0])
    durable = await services(request).ingestion.submit(kept, batch)
    for reason in durable.errors.values():
        raise CampaignError(400, [reason])
    return JsonAnswer(msgspec.json.encode({"id": row.event_id, "status": "accepted"}), 201)


@router.post(
    "/api/events/batch",
    summary="Send events",
    response_model=EventsResponse,
    responses=campaign_failures(400, 408, 413, 415),
    openapi_extra=json_body(CampaignBatchRequest),
)
async def receive_events(request: Request) -> Response:
    """Store 1 to 100 events, of any users; answers when they are committed. A wrong event is rejected alone."""
    delivery = _delivery(request)
    body = await read_body(request)
    kept = msgspec.structs.replace(delivery, body=body)
    batch = await read_in_turn(body, lambda: read_campaign_events(kept))
    durable = await services(request).ingestion.submit(kept, batch)
    content = {
        "ok": True,
        "received_at": iso_millis(delivery.received_at),
        "accepted": len(durable.rows),
        "rejected": len(durable.errors),
        "results": durable.results(),
    }
    return JsonAnswer(msgspec.json.encode(content))


def _delivery(request: Request) -> Delivery:
    """Return the circumstances of a request, whose body is still to come."""
    parts = services(request)
    caller = caller_of(request, "ingest")
    received_at = cut_to_milliseconds(parts.clock())
    running = parts.experiments.running_ids(caller.tenant_id)
    return Delivery("campaign", caller.tenant_id, received_at, b"", running, nonce=os.urandom(NONCE_BYTES))
