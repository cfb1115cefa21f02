"""GET /provenance/run and /provenance/lake: what a run recorded, and what the log of the lake says.

Both belong to all tenants together: they are the operator's.
"""

from __future__ import annotations

from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.answers import is_fragment
from api.dashboard.page_route import PageRoute
from api.dashboard.panel import panel
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError, InvalidRequestError
from api.runs.queries import read_run

RUN, LAKE = "/provenance/run", "/provenance/lake"

router = APIRouter(include_in_schema=False, route_class=PageRoute)


def ask_run(run_id: str) -> str:
    """Return where the numbers of a run are explained."""
    return f"{RUN}?{urlencode({'id': run_id})}"


@router.get(RUN)
async def run(request: Request) -> Response:
    """Tell what the run `id` has read, computed and published."""
    visit = _of_operator(request)
    try:
        run_id = UUID(request.query_params.get("id", ""))
    except ValueError as error:
        raise InvalidRequestError("Query parameter 'id' must be the id of a run.") from error
    found = await visit.read(lambda connection: read_run(connection, run_id))
    if found is None:
        raise ApiError(404, "There is no such run. The page of the lake lists them.")
    return panel(visit, "provenance_run.html", f"Run of {found['job_name']}", run=found)


@router.get(LAKE)
async def lake(request: Request) -> Response:
    """Tell where days, files, sizes and versions of the lake come from."""
    visit = _of_operator(request)
    if not is_fragment(request):
        await visit.read_frame()
    folder = visit.services.dashboard.settings.lake / "events"
    return panel(visit, "provenance_lake.html", "The lake, as its log has it", folder=folder)


def _of_operator(request: Request) -> Visit:
    visit = visit_of(request)
    if not visit.session.is_operator:
        raise ApiError(403, "The lake and its runs belong to all tenants together: only the operator sees them.")
    return visit
