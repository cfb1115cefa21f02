"""The HTTP service: puts routes, error answers, request log and services together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from api.access.cors import Cors
from api.access.key_ring import KeyRing
from api.access.rate_limits import RateLimiter
from api.assignment.assigner import Assigner
from api.assignment.experiment_cache import ExperimentCache
from api.dashboard.state import make_dashboard
from api.database import Database, OwnerDatabase
from api.errors import add_error_handlers
from api.ingestion.core import IngestionCore
from api.openapi import DocumentedApi
from api.operations.status import Operations
from api.raw_route import ShortCut
from api.request_log import RequestLog, make_logger
from api.routers import RESPONSE_MODELS, ROUTERS
from api.state import Services
from api.telemetry import know_routes
from pipeline.clock import Clock, utc_now
from pipeline.settings import Settings

DESCRIPTION = (
    "Events in, experiment assignments and trusted numbers out. Bodies are JSON in UTF-8; every failure answers "
    '{"error", "message"}. After a 503, repeat the request unchanged once Retry-After seconds have passed.'
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
        self.methods_by_path: dict[str, set[str]] = {}
        for route in routes:
            if isinstance(route, Route):
                self.methods_by_path.setdefault(route.path, set()).update(route.methods or ())
        self._entrance = RequestLog(Cors(ShortCut(super().__call__, routes)), log, access_lines=access_lines)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        scope["app"] = self
        await self._entrance(scope, receive, send)


def create_app(settings: Settings, clock: Clock = utc_now) -> FastAPI:
    """Build the application; it connects when it starts, and starts whether or not the database is there."""
    log = make_logger(settings.log_level)
    url = settings.database_url.get_secret_value() if settings.database_url else None
    database = Database(url)
    experiments = ExperimentCache(database)
    keys = KeyRing(database, clock)
    core = IngestionCore(settings, log)
    parts = Services(
        clock=clock,
        database=database,
        ingestion=core,
        experiments=experiments,
        assigner=Assigner(database, experiments),
        operations=Operations(settings, core.spool, clock),
        owner=OwnerDatabase(url),
        keys=keys,
        dashboard=make_dashboard(settings, keys),
        limiter=RateLimiter(database, keys),
        api_key_required=settings.require_api_key,
        dashboard_token=settings.dashboard_token.get_secret_value() if settings.dashboard_token else None,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        parts.ingestion.start()
        parts.operations.start()
        await parts.database.open()
        await parts.experiments.start()
        await parts.keys.start()
        yield
        parts.operations.close()
        await parts.ingestion.close()
        await parts.assigner.close()
        await parts.experiments.close()
        await parts.keys.close()
        await parts.database.close()

    app = Api(
        ROUTERS,
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
