"""POST, GET and PATCH under /api/experiments: reads what is asked, lets `pipeline.experiments` do it, and answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.access.caller import Caller
from api.access.guard import caller_of, documented_key
from api.answers import JsonAnswer
from api.bodies import read_body, read_in_turn
from api.campaign.route import CampaignError, CampaignRoute, campaign_failures
from api.database import Work
from api.experiments.documentation import CURSOR, ID, IF_MATCH, LIMIT, NEW_BODY, REVISION_CURSOR, SORT, STATUS, WORDS
from api.experiments.models import (
    BulkStatusResponse,
    ExperimentChanges,
    ExperimentList,
    ExperimentResponse,
    ExperimentVersions,
)
from api.experiments.requests import (
    next_link,
    precondition,
    read_changes_query,
    read_document,
    read_list_query,
)
from api.openapi import json_body, query_parameters
from api.state import services
from pipeline.clock import iso_millis
from pipeline.experiments.definition import StoredExperiment
from pipeline.experiments.fields import (
    BulkStatus,
    DefinitionError,
    ExperimentPatch,
    read_bulk_status,
    read_new,
    read_patch,
)
from pipeline.experiments.lifecycle import RefusedError
from pipeline.experiments.listing import list_experiments
from pipeline.experiments.planning import Author
from pipeline.experiments.store import (
    StaleError,
    UnknownExperimentError,
    change_experiment,
    change_statuses,
    create_experiment,
    read_changes,
    read_experiment,
    read_versions,
)

PATH = "/api/experiments"
UNKNOWN = "There is no such experiment. GET /api/experiments lists them."
Headers = Mapping[str, str]

router = APIRouter(prefix=PATH, tags=["experiments"], route_class=CampaignRoute, dependencies=[documented_key])


@router.post(
    "",
    summary="Create an experiment",
    status_code=201,
    response_model=ExperimentResponse,
    responses=campaign_failures(400, 408, 409, 413, 415),
    openapi_extra=NEW_BODY,
)
async def create(request: Request) -> Response:
    """Create an experiment, as a DRAFT unless a status is given. Its id is a UUID that the server makes."""
    caller = caller_of(request, "manage")
    body = await read_body(request)
    try:
        definition = await read_in_turn(body, lambda: read_new(read_document(body)))
    except DefinitionError as error:
        raise CampaignError(400, error.problems) from error
    author = _author(caller)
    experiment_id = str(uuid4())
    stored = await _run(
        request,
        caller,
        lambda connection: create_experiment(connection, caller.tenant_id, experiment_id, definition, author),
    )
    return _experiment(stored, 201, {"location": f"{PATH}/{stored.experiment_id}"})


@router.get(
    "",
    summary="Experiments, a page at a time",
    response_model=ExperimentList,
    responses=campaign_failures(400),
    openapi_extra=query_parameters(STATUS, WORDS, SORT, LIMIT, CURSOR),
)
async def listed(request: Request) -> Response:
    """Return a page of the tenant's experiments."""
    caller = caller_of(request, "read")
    query = read_list_query(request)
    page = await _run(request, caller, lambda connection: list_experiments(connection, caller.tenant_id, query))
    headers = {"x-total-count": str(page.total), **next_link(request, page.next_cursor)}
    return _answer([stored.shown() for stored in page.experiments], headers=headers)


@router.post(
    "/bulk-status",
    summary="Give several experiments a status",
    response_model=BulkStatusResponse,
    responses=campaign_failures(400, 408, 413, 415),
    openapi_extra=json_body(BulkStatus),
)
async def change_several(request: Request) -> Response:
    """Move every experiment that may have the status to it; the others are left, each with its reason."""
    caller = caller_of(request, "manage")
    body = await read_body(request)
    try:
        ids, status = await read_in_turn(body, lambda: read_bulk_status(read_document(body)))
    except DefinitionError as error:
        raise CampaignError(400, error.problems) from error
    author = _author(caller)
    outcomes = await _run(
        request, caller, lambda connection: change_statuses(connection, caller.tenant_id, ids, status, author)
    )
    results = [
        {"id": one.experiment_id, "result": one.outcome, "status": one.status, "message": one.reason}
        for one in outcomes
    ]
    return _answer({"changed": sum(one.outcome == "changed" for one in outcomes), "results": results})


@router.get(
    "/{id}",
    summary="One experiment",
    response_model=ExperimentResponse,
    responses=campaign_failures(404),
    openapi_extra={"parameters": [ID]},
)
async def one(request: Request) -> Response:
    """Return an experiment with its ETag."""
    caller = caller_of(request, "read")
    experiment_id = request.path_params["id"]
    return _experiment(
        await _run(request, caller, lambda connection: read_experiment(connection, caller.tenant_id, experiment_id))
    )


@router.patch(
    "/{id}",
    summary="Change an experiment",
    response_model=ExperimentResponse,
    responses=campaign_failures(400, 404, 408, 409, 412, 413, 415),
    openapi_extra={**json_body(ExperimentPatch), "parameters": [ID, IF_MATCH]},
)
async def change(request: Request) -> Response:
    """Change the fields given, and leave the others; null clears those that may be empty. Variants are replaced whole.

    Other variants or weights of an experiment that has left DRAFT start a new version: assigned users keep theirs.
    """
    caller = caller_of(request, "manage")
    experiment_id = request.path_params["id"]
    body = await read_body(request)
    author, allows = _author(caller), precondition(request)
    try:
        edit = await read_in_turn(body, lambda: read_patch(read_document(body)))
        changed = await _run(
            request,
            caller,
            lambda connection: change_experiment(
                connection, caller.tenant_id, experiment_id, edit, author, allows=allows
            ),
        )
    except DefinitionError as error:
        raise CampaignError(400, error.problems) from error
    return _experiment(changed)


@router.get(
    "/{id}/changes",
    summary="Who changed an experiment",
    response_model=ExperimentChanges,
    responses=campaign_failures(400, 404),
    openapi_extra={"parameters": [ID, *query_parameters(LIMIT, REVISION_CURSOR)["parameters"]]},
)
async def changes(request: Request) -> Response:
    """Return the experiment's log: who changed what, and when."""
    caller = caller_of(request, "read")
    experiment_id = request.path_params["id"]
    limit, before = read_changes_query(request)
    rows = await _run(
        request,
        caller,
        lambda connection: read_changes(connection, caller.tenant_id, experiment_id, limit=limit + 1, before=before),
    )
    shown = rows[:limit]
    entries = [
        {
            "id": str(row["change_id"]),
            "at": iso_millis(row["changed_at"]),
            "by": row["changed_by"],
            "revision": row["revision"],
            "version": row["version"],
            "changes": row["changes"],
            "note": row["note"],
        }
        for row in shown
    ]
    cursor = str(shown[-1]["revision"]) if len(rows) > limit else None
    return _answer(entries, headers=next_link(request, cursor))


@router.get(
    "/{id}/versions",
    summary="The versions of an experiment",
    response_model=ExperimentVersions,
    responses=campaign_failures(404),
    openapi_extra={"parameters": [ID]},
)
async def versions(request: Request) -> Response:
    """Return the variants and weights that the experiment has had, and since when."""
    caller = caller_of(request, "read")
    experiment_id = request.path_params["id"]
    rows = await _run(request, caller, lambda connection: read_versions(connection, caller.tenant_id, experiment_id))
    return _answer([{**row, "since": iso_millis(row["since"])} for row in rows])


async def _run(request: Request, caller: Caller, work: Work[Any]) -> Any:  # noqa: ANN401 - what the work returns
    """Do work within the caller's tenant; what the store refuses becomes an answer."""
    try:
        return await services(request).database.run(work, caller.tenant_id)
    except UnknownExperimentError as error:
        raise CampaignError(404, UNKNOWN) from error
    except StaleError as error:
        raise CampaignError(412, str(error), {"etag": error.etag}) from error
    except RefusedError as error:
        raise CampaignError(409, str(error)) from error


def _author(caller: Caller) -> Author:
    assert caller.key_id is not None, "no campaign endpoint is reached without a key"
    return Author(caller.key_id, uuid4())


def _experiment(stored: StoredExperiment, status: int = 200, headers: Headers | None = None) -> Response:
    return _answer(stored.shown(), status, {"etag": stored.etag, **(headers or {})})


def _answer(content: object, status: int = 200, headers: Headers | None = None) -> Response:
    # Not msgspec: a config of the manifest may hold integers beyond 64 bits, which it refuses.
    # A lone surrogate, in an id that a client asked for, becomes the escape that it came as.
    encoded = json.dumps(content, ensure_ascii=False).encode("utf-8", "backslashreplace")
    return JsonAnswer(encoded, status, headers)
