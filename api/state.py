"""What the routes of one application share, made when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from api.assignment.assigner import Assigner
from api.assignment.experiment_cache import ExperimentCache
from api.database import Database
from api.ingestion.core import IngestionCore
from api.operations.status import Operations
from pipeline.clock import Clock


@dataclass(frozen=True)
class Services:
    """The parts a route may need; `dashboard_token` None means that the protected endpoints are off."""

    clock: Clock
    database: Database
    ingestion: IngestionCore
    experiments: ExperimentCache
    assigner: Assigner
    operations: Operations
    dashboard_token: str | None


def services(request: Request) -> Services:
    """Return the services of the application that handles a request."""
    return cast("Services", request.scope["app"].services)
