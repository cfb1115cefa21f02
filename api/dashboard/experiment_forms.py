"""GET and POST /experiments/new and /experiments/edit: forms that say what is wrong with each field.

A form names the revision it shows: who sends an older one is shown what others changed meanwhile, and decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

from fastapi import APIRouter
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.answers import redirect
from api.dashboard.experiment_changes import author_of
from api.dashboard.experiment_fields import (
    Fields,
    blank_fields,
    document_of,
    given_fields,
    locked_fields,
    problems_by_field,
    shown_fields,
    with_blank_row,
)
from api.dashboard.experiment_links import EDIT, LIST, NEW, UNKNOWN, experiment_link, id_in_query
from api.dashboard.experiment_tables import fields_of
from api.dashboard.page_route import PageRoute
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError
from api.identifiers import PLATFORMS
from pipeline.experiments.definition import StoredExperiment
from pipeline.experiments.fields import DefinitionError, read_new, read_patch
from pipeline.experiments.lifecycle import RefusedError
from pipeline.experiments.store import (
    StaleError,
    UnknownExperimentError,
    change_experiment,
    create_experiment,
    read_changes,
    read_experiment,
)

LABELS = {"name": "Name", "description": "Description", "status": "Status", "variants": "Variants",
          "targeting": "Targeting", "start": "Starts", "end": "Ends", "share": "Share of users", "layer": "Layer",
          "form": "The form"}  # fmt: skip
NEWER_ENTRIES = 50
Problems = Mapping[str, str]

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get(NEW)
async def new_form(request: Request) -> Response:
    """Show the form of a new experiment."""
    visit = visit_of(request)
    visit.require("manage")
    await visit.read_frame()
    return _form(visit, None, blank_fields())


@router.post(NEW)
async def create(request: Request) -> Response:
    """Create the experiment; its id is made here, as by the API."""
    visit = visit_of(request)
    form = await visit.form()
    visit.require("manage")
    fields = given_fields(form)
    await visit.read_frame()
    if form.get("do") == "add":
        return _form(visit, None, with_blank_row(fields))
    document, problems = document_of(fields, None)
    try:
        definition = read_new(document)
    except DefinitionError as error:
        return _form(visit, None, fields, {**problems_by_field(error.problems, fields), **problems}, 400)
    if problems:
        return _form(visit, None, fields, problems, 400)
    author, experiment_id = author_of(visit), str(uuid4())
    try:
        await visit.services.database.run(
            lambda connection: create_experiment(connection, visit.tenant_id, experiment_id, definition, author),
            visit.tenant_id,
        )
    except RefusedError as error:
        return _form(visit, None, fields, {"layer": str(error)}, 409)
    return redirect(request, experiment_link(visit, experiment_id, said="created"))


@router.get(EDIT)
async def edit_form(request: Request) -> Response:
    """Show the form of the experiment `id`."""
    visit = visit_of(request)
    visit.require("manage")
    experiment_id = id_in_query(request)
    stored = await _stored(visit, experiment_id)
    return _form(visit, stored, shown_fields(stored.definition))


@router.post(EDIT)
async def change(request: Request) -> Response:
    """Change the experiment `id` where the form differs from what it showed."""
    visit = visit_of(request)
    form = await visit.form()
    visit.require("manage")
    experiment_id = id_in_query(request)
    stored = await _stored(visit, experiment_id)
    locked, known = locked_fields(stored), form.get("etag")
    shown = shown_fields(stored.definition)
    fields = _with_locked(given_fields(form), shown, locked)
    if form.get("do") == "add":
        return _form(visit, stored, with_blank_row(fields), etag=known)
    if known != stored.etag:
        return await _stale(visit, stored, fields, known)
    document, problems = document_of(fields, shown, locked)
    try:
        await _apply(visit, experiment_id, document, problems, known)
    except DefinitionError as error:
        return _form(visit, stored, fields, {**problems_by_field(error.problems, fields), **problems}, 400)
    except StaleError:
        return await _stale(visit, await _stored(visit, experiment_id), fields, known)
    except RefusedError as error:
        return _form(visit, stored, fields, {"layer" if "layer" in document else "form": str(error)}, 409)
    return redirect(request, experiment_link(visit, experiment_id, said="saved" if document else "same"))


async def _apply(visit: Visit, experiment_id: str, document: Any, problems: Problems, known: str) -> None:  # noqa: ANN401 - JSON
    """Change what the document asks for, if the experiment is still the revision that is known."""
    if not document:
        return
    edit = read_patch(document)
    if problems:
        raise DefinitionError(())  # the document is sound but for these
    author = author_of(visit)
    try:
        await visit.services.database.run(
            lambda connection: change_experiment(
                connection, visit.tenant_id, experiment_id, edit, author, allows=known.__eq__
            ),
            visit.tenant_id,
        )
    except UnknownExperimentError as error:
        raise ApiError(404, UNKNOWN) from error


async def _stored(visit: Visit, experiment_id: str) -> StoredExperiment:
    try:
        return await visit.read(lambda connection: read_experiment(connection, visit.tenant_id, experiment_id))
    except UnknownExperimentError as error:
        raise ApiError(404, UNKNOWN) from error


async def _stale(visit: Visit, stored: StoredExperiment, fields: Fields, known: str) -> Response:
    """Show what others changed since the form was opened, beside what was filled in; sending it again applies it."""

    async def newer(connection: AsyncConnection) -> list[dict[str, Any]]:
        rows = await read_changes(connection, visit.tenant_id, stored.experiment_id, limit=NEWER_ENTRIES)
        revision = known.strip('"')
        return [row for row in rows if not revision.isdecimal() or row["revision"] > int(revision)]

    entries = await visit.services.database.run(newer, visit.tenant_id)
    return _form(visit, stored, fields, {}, 412, newer=[(row, fields_of(row)) for row in entries])


def _with_locked(given: Fields, shown: Fields, locked: frozenset[str]) -> Fields:
    """Return the fields with what is locked as it is: a browser does not send fields that cannot be changed."""
    parts = {
        "name": ("name",),
        "description": ("description",),
        "status": ("status",),
        "variants": ("variants", "control"),
        "targeting": ("platforms", "min_version", "max_version", "more"),
        "startDate": ("start",),
        "endDate": ("end",),
        "trafficAllocation": ("share",),
        "layer": ("layer_name", "layer_from", "layer_to"),
    }
    names = [name for part in locked for name in parts[part]]
    return replace(given, **{name: getattr(shown, name) for name in names})


def _form(
    visit: Visit,
    stored: StoredExperiment | None,
    fields: Fields,
    problems: Problems | None = None,
    status: int = 200,
    *,
    etag: str | None = None,
    newer: Sequence[Any] = (),
) -> Response:
    name = "New experiment" if stored is None else (stored.definition.name or stored.experiment_id)
    found = dict(problems or {})
    return visit.page(
        "experiment_form.html",
        title=name if stored is None else f"Edit {name}",
        status=status,
        stored=stored,
        name=name,
        fields=fields,
        problems=found,
        listed=[(place, _label(place), text) for place, text in found.items()],
        locked=locked_fields(stored),
        platforms=PLATFORMS,
        etag=etag or (stored.etag if stored else ""),
        newer=newer,
        action=NEW if stored is None else visit.link(EDIT, id=stored.experiment_id),
        back=visit.link(LIST) if stored is None else experiment_link(visit, stored.experiment_id),
    )


def _label(place: str) -> str:
    part, _, number = place.partition("-")
    if number.isdecimal():
        return f"{part.capitalize()} of variant {int(number) + 1}"
    return LABELS.get(place, place)
