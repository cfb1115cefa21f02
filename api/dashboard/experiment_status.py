"""POST /experiments/status and /experiments/undo: pause, run or end experiments after a confirmation; take it back.

Without script, and where the script's own question was not answered, a page asks for the confirmation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.answers import own_place, redirect
from api.dashboard.experiment_changes import (
    DONE_NAMES,
    MAX_SELECTED,
    ORDER_NAMES,
    ORDERS,
    author_of,
    done_in_form,
    read_done,
    undo,
)
from api.dashboard.experiment_links import LIST, STATUS, UNDO, known_id
from api.dashboard.forms import Form
from api.dashboard.page_route import PageRoute
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError, InvalidRequestError
from pipeline.experiments.definition import Status, StoredExperiment
from pipeline.experiments.lifecycle import MOVES, RefusedError, check_move
from pipeline.experiments.store import StatusOutcome, UnknownExperimentError, change_statuses, read_experiment

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class Wanted:
    """One experiment of an order: what it is now, and why it cannot get the status, if so."""

    experiment_id: str
    name: str
    status: Status | None
    refusal: str | None


@router.get(STATUS)
@router.get(UNDO)
async def list_again(request: Request) -> Response:
    """Lead to the list: links of the frame keep the path of the page that asked for a confirmation."""
    return redirect(request, visit_of(request).link(LIST))


@router.post(STATUS)
async def change_status(request: Request) -> Response:
    """Give the experiments `id` the status of `order`; without `confirmed`, ask first."""
    visit = visit_of(request)
    form = await visit.form()
    visit.require("manage")
    order, ids = _order(form), _ids(form)
    status, place = ORDERS[order], _place(form)
    if not ids:
        raise InvalidRequestError("No experiment was selected. Select at least one, and choose what to do with it.")
    if form.get("confirmed") != "yes":
        wanted = await visit.read(lambda connection: _look(connection, visit.tenant_id, ids, status))
        return _ask(visit, order, wanted, place)
    author = author_of(visit)
    outcomes: list[StatusOutcome] = await visit.services.database.run(
        lambda connection: change_statuses(connection, visit.tenant_id, ids, status, author), visit.tenant_id
    )
    left = [one for one in outcomes if one.outcome in ("refused", "unknown")]
    changed = [one for one in outcomes if one.outcome == "changed"]
    told = with_parameters(place, done=author.change_id, of=len(ids)) if changed else place
    if left:
        return _report(visit, status, len(changed), [(one.experiment_id, one.reason or "") for one in left], told)
    return redirect(request, told)


@router.post(UNDO)
async def take_back(request: Request) -> Response:
    """Give the experiments of the change `done` the statuses back that they had."""
    visit = visit_of(request)
    form = await visit.form()
    visit.require("manage")
    change = done_in_form(form.get("done"), form.get("of"))
    author = author_of(visit)

    async def work(connection: AsyncConnection) -> Any:  # noqa: ANN401 - what is left, and of how many
        done = await read_done(connection, visit.tenant_id, change)
        if done is None:
            raise ApiError(404, "There is no such change to take back.")
        return done, await undo(connection, visit.tenant_id, done, author)

    done, left = await visit.services.database.run(work, visit.tenant_id)
    place = _place(form)
    told = with_parameters(place, done=author.change_id, of=len(done.made)) if len(left) < len(done.made) else place
    if left:
        return _report(
            visit, None, len(done.made) - len(left), [(made.experiment_id, reason) for made, reason in left], told
        )
    return redirect(request, told)


def with_parameters(place: str, **changes: object) -> str:
    """Return a place of ours with other parameters in its query."""
    parts = urlsplit(place)
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in ("done", "of", "said")]
    return f"{parts.path}?{urlencode([*kept, *changes.items()])}"


async def _look(connection: AsyncConnection, tenant_id: str, ids: Sequence[str], status: Status) -> list[Wanted]:
    found = []
    for experiment_id in ids:
        try:
            found.append(_wanted(await read_experiment(connection, tenant_id, experiment_id), status))
        except UnknownExperimentError:
            found.append(Wanted(experiment_id, experiment_id, None, "There is no such experiment."))
    return found


def _wanted(stored: StoredExperiment, status: Status) -> Wanted:
    present = stored.definition
    refusal = None
    try:
        check_move(present.status, status)
    except RefusedError as error:
        refusal = str(error)
    return Wanted(stored.experiment_id, present.name or stored.experiment_id, present.status, refusal)


def _ask(visit: Visit, order: str, wanted: Sequence[Wanted], place: str) -> Response:
    status = ORDERS[order]
    return visit.page(
        "experiment_confirm.html",
        title=f"{ORDER_NAMES[order]} experiments",
        order=order,
        order_name=ORDER_NAMES[order],
        done_name=DONE_NAMES[status],
        wanted=wanted,
        possible=[one for one in wanted if one.refusal is None and one.status != status],
        starting=[one for one in wanted if one.status == "DRAFT" and status == "RUNNING"],
        is_final=not MOVES[status],
        place=place,
    )


def _report(visit: Visit, status: Status | None, changed: int, left: Sequence[tuple[str, str]], place: str) -> Response:
    return visit.page(
        "experiment_left.html",
        title="Not all of them",
        status=409,
        done_name=DONE_NAMES[status] if status else "as they were",
        changed=changed,
        left=left,
        place=place,
    )


def _order(form: Form) -> str:
    order = form.get("order")
    if order not in ORDERS:
        raise InvalidRequestError(f"The order must be one of {', '.join(ORDERS)}.")
    return order


def _ids(form: Form) -> list[str]:
    ids = list(dict.fromkeys(form.all("id")))
    if len(ids) > MAX_SELECTED:
        raise InvalidRequestError(f"At most {MAX_SELECTED} experiments can be changed at once.")
    return [known_id(text) for text in ids]


def _place(form: Form) -> str:
    place = own_place(form.get("next"))
    return place if urlsplit(place).path.startswith(LIST) else LIST
