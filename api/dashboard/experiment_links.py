"""Where an experiment's pages are. Ids are what people chose: not every one can stand in a path."""

from __future__ import annotations

import re

from starlette.requests import Request

from api.dashboard.visit import Visit
from api.errors import ApiError
from api.identifiers import identifier_problem

LIST = "/experiments"
NEW = "/experiments/new"
EDIT = "/experiments/edit"
STATUS = "/experiments/status"
UNDO = "/experiments/undo"
BY_ID = "/experiments/by-id"
UNKNOWN = "There is no such experiment. The list of experiments has all of them."
# A browser takes `..` for the folder above, `a/b` for two parts and `?` for the path's end.
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.~-]*")
_OWN = frozenset(path.rsplit("/", 1)[1] for path in (NEW, EDIT, STATUS, UNDO, BY_ID))


def experiment_link(visit: Visit, experiment_id: str, **changes: object) -> str:
    """Return the address of an experiment's page, with this page's window."""
    if is_plain(experiment_id):
        return visit.link(f"{LIST}/{experiment_id}", **changes)
    return visit.link(BY_ID, id=experiment_id, **changes)


def is_plain(experiment_id: str) -> bool:
    """Say whether an id can stand in a path, and is no page's own name."""
    return _PLAIN.fullmatch(experiment_id) is not None and experiment_id not in _OWN


def id_in_query(request: Request) -> str:
    """Return the id that the query names. Raises ApiError 404 for what no experiment can be called."""
    return known_id(request.query_params.get("id", ""))


def known_id(text: str) -> str:
    """Return an id as it is. Raises ApiError 404 for what no experiment can be called."""
    if not text or identifier_problem("id", text):
        raise ApiError(404, UNKNOWN)
    return text
