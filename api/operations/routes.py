"""GET /ready and GET /metrics."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from api.client_host import client_host
from api.errors import RETRY_AFTER_SECONDS, documented
from api.operations.exposition import CONTENT_TYPE
from api.operations.models import ReadyResponse
from api.state import services

router = APIRouter(tags=["operations"])


@router.head("/ready", include_in_schema=False)
@router.get(
    "/ready",
    summary="Can the process take events?",
    response_model=ReadyResponse,
    responses=documented(503),
)
async def ready(request: Request) -> Response:
    """Say whether events can be made durable, in Postgres or in the spool; with neither, 503 says why in `message`."""
    readiness = await services(request).operations.readiness()
    if readiness.ready:
        return JSONResponse(readiness.content())
    failure = {"error": "Service Unavailable", "message": f"Not ready: {'; '.join(readiness.reasons)}."}
    return JSONResponse({**failure, **readiness.content()}, 503, {"retry-after": str(RETRY_AFTER_SECONDS)})


# Not in the OpenAPI, which describes JSON: the page explains each of its lines itself.
@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Show what all processes of this API counted, in Prometheus' text format."""
    operations = services(request).operations
    operations.authorize(client_host(request), request.headers.get("authorization", ""))
    return Response(await operations.metrics(), media_type=CONTENT_TYPE)
