"""GET /v1/runs and /v1/runs/{run_id}, with the dashboard token."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import msgspec
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api.answers import JsonAnswer
from api.errors import ApiError, InvalidRequestError, documented
from api.metrics.token import require_token
from api.openapi import query_parameters
from api.runs.models import RunResponse, RunsResponse
from api.runs.queries import read_run, read_runs
from api.state import services
from pipeline.rollups.jobs import REFRESH_JOBS, job_named
from pipeline.rollups.run_history import DEFAULT_LIMIT, MAXIMUM_LIMIT, STATUSES

Json = dict[str, Any]
RUN_NAMES = tuple(job_named(name).run_name for name in REFRESH_JOBS)
UUID_PATTERN = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_LIMIT = re.compile(r"[1-9][0-9]{0,2}")
JOB = {"name": "job", "description": "Only runs of this job.", "schema": {"type": "string", "enum": list(RUN_NAMES)}}
STATUS = {
    "name": "status",
    "description": "Only runs with this status.",
    "schema": {"type": "string", "enum": list(STATUSES)},
}
LIMIT = {
    "name": "limit",
    "description": "How many runs at most.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": DEFAULT_LIMIT},
}
CURSOR = {
    "name": "cursor",
    "description": "The `next_cursor` of the answer before.",
    "schema": {"type": "string", "pattern": UUID_PATTERN},
}

router = APIRouter(prefix="/v1/runs", tags=["runs"], dependencies=[Depends(require_token)], responses=documented(401))


@router.get(
    "",
    summary="Runs, newest first",
    response_model=RunsResponse,
    responses=documented(400, 503),
    openapi_extra=query_parameters(JOB, STATUS, LIMIT, CURSOR),
)
async def runs(request: Request) -> Response:
    """Return runs of rollup jobs, whatever came of them."""
    limit = _limit(request)
    job_name, status = _choice(request, "job", RUN_NAMES), _choice(request, "status", STATUSES)
    cursor = _cursor(request)
    found = await services(request).database.run(
        lambda connection: read_runs(connection, job_name=job_name, status=status, cursor=cursor, row_limit=limit + 1),
        (),
    )
    shown = found[:limit]
    return _answer({"runs": shown, "next_cursor": shown[-1]["run_id"] if len(found) > limit else None})


@router.get(
    "/{run_id}",
    summary="One run and what it was computed from",
    response_model=RunResponse,
    responses=documented(400, 404, 503),
)
async def run(request: Request, run_id: Annotated[str, Path(pattern=UUID_PATTERN)]) -> Response:
    """Return a run with its files, statements, parameters and versions."""
    found = await services(request).database.run(lambda connection: read_run(connection, UUID(run_id)), ())
    if found is None:
        raise ApiError(404, f"There is no run {run_id}. GET /v1/runs lists them.")
    return _answer(found)


def _limit(request: Request) -> int:
    given = request.query_params.getlist("limit") or [str(DEFAULT_LIMIT)]
    if len(given) > 1 or not _LIMIT.fullmatch(given[0]) or int(given[0]) > MAXIMUM_LIMIT:
        raise InvalidRequestError(f"Query parameter 'limit' must be an integer between 1 and {MAXIMUM_LIMIT}.")
    return int(given[0])


def _choice(request: Request, parameter: str, choices: Sequence[str]) -> str | None:
    given = request.query_params.getlist(parameter)
    if len(given) > 1 or any(name not in choices for name in given):
        raise InvalidRequestError(f"Query parameter '{parameter}' must be one of: {', '.join(choices)}.")
    return given[0] if given else None


def _cursor(request: Request) -> UUID | None:
    given = request.query_params.getlist("cursor")
    if len(given) > 1 or any(not re.fullmatch(UUID_PATTERN, text) for text in given):
        raise InvalidRequestError("Query parameter 'cursor' must be the next_cursor of the answer before.")
    return UUID(given[0]) if given else None


def _answer(content: Json) -> Response:
    return JsonAnswer(msgspec.json.encode(content))
