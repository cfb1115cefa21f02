"""What the routes of one application share, made when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from starlette.requests import Request

from api.access.key_ring import KeyRing
from api.access.rate_limits import RateLimiter
from api.assignment.assigner import Assigner
from api.assignment.experiment_cache import ExperimentCache
from api.dashboard.state import Dashboard
from api.database import Database, OwnerDatabase
from api.ingestion.core import IngestionCore
from api.operations.status import Operations
from pipeline.clock import Clock


@dataclass(frozen=True)
class Services:
    """The parts a route may need.

    `dashboard_token` None: the token opens nothing. `api_key_required`: also where the contracts ask for no key.
    """

    clock: Clock
    database: Database
    ingestion: IngestionCore
    experiments: ExperimentCache
    assigner: Assigner
    operations: Operations
    owner: OwnerDatabase
    keys: KeyRing
    dashboard: Dashboard
    limiter: RateLimiter
    api_key_required: bool
    dashboard_token: str | None


def services(request: Request) -> Services:
    """Return the services of the application that handles a request."""
    return cast("Services", request.scope["app"].services)
