"""GET /v1/metrics/...: summary (public); daily, experiments, funnels and retention (with the dashboard token)."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from api.access.guard import optional_key, tenant_of
from api.answers import JsonAnswer
from api.errors import documented
from api.metrics.models import (
    CatalogueResponse,
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
    OrderedFunnelsResponse,
    RetentionResponse,
    SummaryResponse,
)
from api.metrics.queries import (
    read_days,
    read_experiments,
    read_funnels,
    read_ordered_funnels,
    read_retention,
    read_summary,
)
from api.metrics.token import documented_reader, reading_tenant
from api.metrics.window import DEFAULT_DAYS, MAX_DAYS, read_name, read_window
from api.openapi import query_parameters
from api.state import services
from pipeline.clock import iso_millis
from pipeline.rollups.metric_catalogue import catalogue

WINDOW_DAYS = {
    "name": "window_days",
    "description": "UTC days to look back on, today included.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "default": DEFAULT_DAYS},
}
NAME = {"type": "string", "pattern": r"^[^\u0000]*$"}
EXPERIMENT_ID = {"name": "experiment_id", "description": "Only this experiment.", "schema": NAME}
FUNNEL_NAME = {"name": "funnel_name", "description": "Only this funnel.", "schema": NAME}

router = APIRouter(prefix="/v1/metrics", tags=["metrics"])
protected = APIRouter(dependencies=documented_reader, responses=documented(401, 403))


@router.get(
    "/summary",
    summary="The latest day at a glance",
    response_model=SummaryResponse,
    responses=documented(400, 401, 403, 503),
    openapi_extra=query_parameters(WINDOW_DAYS) | optional_key,
)
async def summary(request: Request) -> Response:
    """Return the main metrics of the latest day with data, and each variant's logging rate."""
    parts = services(request)
    tenant_id = tenant_of(request, "read")
    now = parts.clock()
    window = read_window(request, now)
    found = await parts.database.run(lambda connection: read_summary(connection, tenant_id, window), tenant_id)
    return _answer({"generated_at": iso_millis(now), **found})


@router.get("/catalogue", summary="What each metric means", response_model=CatalogueResponse)
async def metric_catalogue(_: Request) -> Response:
    """Return every metric with definition, unit and caveats: the words that the dashboard shows."""
    return _answer({"metrics": [dataclasses.asdict(entry) for entry in catalogue()]})


@protected.get(
    "/daily",
    summary="Metrics by day",
    response_model=DailyResponse,
    responses=documented(400, 503),
    openapi_extra=query_parameters(WINDOW_DAYS),
)
async def daily(request: Request) -> Response:
    """Return the daily metrics of each day of the window that has any, ascending."""
    parts = services(request)
    tenant_id = reading_tenant(request)
    now = parts.clock()
    window = read_window(request, now)
    found = await parts.database.run(lambda connection: read_days(connection, tenant_id, window), tenant_id)
    return _answer({**window.header(now), **found})


@protected.get(
    "/experiments",
    summary="Experiments and their metrics",
    response_model=ExperimentsResponse,
    responses=documented(400, 503),
    openapi_extra=query_parameters(WINDOW_DAYS, EXPERIMENT_ID),
)
async def experiments(request: Request) -> Response:
    """Return all experiments, of any status, with their configuration and their metrics in the window."""
    parts = services(request)
    tenant_id = reading_tenant(request)
    now = parts.clock()
    window = read_window(request, now)
    wanted = read_name(request, "experiment_id")
    found = await parts.database.run(
        lambda connection: read_experiments(connection, tenant_id, window, wanted), tenant_id
    )
    return _answer({**window.header(now), **found})


@protected.get(
    "/funnels",
    summary="Funnels by day and step",
    response_model=FunnelsResponse,
    responses=documented(400, 503),
    openapi_extra=query_parameters(WINDOW_DAYS, FUNNEL_NAME),
)
async def funnels(request: Request) -> Response:
    """Return users and events of each funnel step and day, overall and per variant."""
    parts = services(request)
    tenant_id = reading_tenant(request)
    now = parts.clock()
    window = read_window(request, now)
    wanted = read_name(request, "funnel_name")
    found = await parts.database.run(lambda connection: read_funnels(connection, tenant_id, window, wanted), tenant_id)
    return _answer({**window.header(now), **found})


@protected.get(
    "/funnels/ordered",
    summary="Ordered funnels by cohort day and step",
    response_model=OrderedFunnelsResponse,
    responses=documented(400, 503),
    openapi_extra=query_parameters(WINDOW_DAYS, FUNNEL_NAME),
)
async def ordered_funnels(request: Request) -> Response:
    """Return how far the users who entered each funnel on a day got, in order and in time, overall and per variant."""
    parts = services(request)
    tenant_id = reading_tenant(request)
    now = parts.clock()
    window = read_window(request, now)
    wanted = read_name(request, "funnel_name")
    found = await parts.database.run(
        lambda connection: read_ordered_funnels(connection, tenant_id, window, wanted), tenant_id
    )
    return _answer({**window.header(now), **found})


@protected.get(
    "/retention",
    summary="Retention by cohort day",
    response_model=RetentionResponse,
    responses=documented(400, 503),
    openapi_extra=query_parameters(WINDOW_DAYS),
)
async def retention(request: Request) -> Response:
    """Return how many of each day's new users were active 1, 3, 7, 14 and 30 days later, overall and per variant."""
    parts = services(request)
    tenant_id = reading_tenant(request)
    now = parts.clock()
    window = read_window(request, now)
    found = await parts.database.run(lambda connection: read_retention(connection, tenant_id, window), tenant_id)
    return _answer({**window.header(now), **found})


router.include_router(protected)


def _answer(content: dict[str, Any]) -> Response:
    return JsonAnswer(msgspec.json.encode(content))
