"""The HTTP service: puts routes, error answers, request log and services together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from api.assignment.experiments import ExperimentCache
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
from api.metrics.models import DailyResponse, ExperimentsResponse, FunnelsResponse, SummaryResponse
from api.metrics.routes import router as metrics
from api.openapi import DocumentedApi
from api.request_log import RequestLog, make_logger
from api.state import Services
from pipeline.clock import Clock, utc_now
from pipeline.settings import Settings

DESCRIPTION = (
    "Events in, experiment assignments and trusted numbers out. Bodies are JSON in UTF-8; every failure answers "
    '{"error", "message"}. After a 503, repeat the request unchanged once Retry-After seconds have passed.'
)
RESPONSE_MODELS = (
    HealthResponse,
    AssignmentResponse,
    EventsResponse,
    SummaryResponse,
    DailyResponse,
    ExperimentsResponse,
    FunnelsResponse,
)


def create_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """Build the application; it connects when it starts, and starts whether or not the database is there."""
    log = make_logger(settings.log_level)
    database_url = settings.database_url.get_secret_value() if settings.database_url else None
    parts = Services(
        clock=clock,
        database=Database(database_url),
        ingestion=IngestionCore(database_url, log),
        experiments=ExperimentCache(),
        dashboard_token=settings.dashboard_token.get_secret_value() if settings.dashboard_token else None,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.ingestion.start()
        await parts.database.open()
        yield
        await asyncio.to_thread(parts.ingestion.close)
        await parts.database.close()

    app = DocumentedApi(
        title="Tidemark",
        version="0.1.0",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.response_models = RESPONSE_MODELS
    app.state.services = parts
    for router in (health, assignment, ingestion, metrics, docs_page):
        app.include_router(router)
    add_error_handlers(app)
    app.add_middleware(RequestLog, log=log)
    return app
