"""The HTTP service: puts routes, error answers, request log and services together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.assignment.assigner import Assigner
from api.assignment.experiment_cache import ExperimentCache
from api.assignment.models import AssignmentResponse
from api.assignment.routes import router as assignment
from api.database import Database
from api.docs_page import router as docs_page
from api.errors import add_error_handlers
from api.health import HealthResponse
from api.health import router as health
from api.ingestion.core import IngestionCore
from api.ingestion.models import EventsResponse
from api.ingestion.routes import router as ingestion
from api.metrics.models import (
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
    OrderedFunnelsResponse,
    RetentionResponse,
    SummaryResponse,
)
from api.metrics.routes import router as metrics
from api.openapi import DocumentedApi
from api.operations.models import ReadyResponse
from api.operations.routes import router as operations
from api.operations.status import Operations
from api.raw_route import ShortCut
from api.request_log import RequestLog, make_logger
from api.retail.models import QueuedResponse, StatsResponse
from api.retail.routes import router as retail
from api.runs.models import RunResponse, RunsResponse
from api.runs.routes import router as runs
from api.state import Services
from api.telemetry import know_routes
from pipeline.clock import Clock, utc_now
from pipeline.settings import Settings

DESCRIPTION = (
    "Events in, experiment assignments and trusted numbers out. Bodies are JSON in UTF-8; every failure answers "
    '{"error", "message"}. After a 503, repeat the request unchanged once Retry-After seconds have passed.'
)
RESPONSE_MODELS = (
    HealthResponse,
    ReadyResponse,
    AssignmentResponse,
    EventsResponse,
    QueuedResponse,
    StatsResponse,
    SummaryResponse,
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
    OrderedFunnelsResponse,
    RetentionResponse,
    RunsResponse,
    RunResponse,
)


class Api(DocumentedApi):
    """FastAPI, behind the request log and the short cut to raw routes."""

    services: Services

    def __init__(self, routers: Sequence[APIRouter], log: Any, access_lines: bool, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        for router in routers:
            self.include_router(router)
        add_error_handlers(self)
        routes = [route for router in routers for route in router.routes]
        know_routes(route.path for route in routes if isinstance(route, Route))
        self._entrance = RequestLog(ShortCut(super().__call__, routes), log, access_lines=access_lines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        scope["app"] = self
        await self._entrance(scope, receive, send)


def create_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """Build the application; it connects when it starts, and starts whether or not the database is there."""
    log = make_logger(settings.log_level)
    database = Database(settings.database_url.get_secret_value() if settings.database_url else None)
    experiments = ExperimentCache(database)
    core = IngestionCore(settings, log)
    parts = Services(
        clock=clock,
        database=database,
        ingestion=core,
        experiments=experiments,
        assigner=Assigner(database, experiments),
        operations=Operations(settings, core.spool, clock),
        dashboard_token=settings.dashboard_token.get_secret_value() if settings.dashboard_token else None,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.ingestion.start()
        parts.operations.start()
        await parts.database.open()
        await parts.experiments.start()
        yield
        parts.operations.close()
        await parts.ingestion.close()
        await parts.assigner.close()
        await parts.experiments.close()
        await parts.database.close()

    app = Api(
        (health, assignment, ingestion, retail, metrics, runs, operations, docs_page),
        log,
        access_lines=settings.access_log,
        title="Tidemark",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.response_models = RESPONSE_MODELS
    app.services = parts
    return app
