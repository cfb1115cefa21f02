"""Descriptions of the Experiments API's parameters and of its longest request, for OpenAPI."""

from __future__ import annotations

from api.experiments.models import EXAMPLE_REQUEST
from api.openapi import json_body
from pipeline.experiments.definition import STATUSES
from pipeline.experiments.fields import NewExperiment
from pipeline.experiments.listing import DEFAULT_LIMIT, DEFAULT_SORT, MAXIMUM_LIMIT, SORTS

ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The experiment's id.",
    "schema": {"type": "string", "minLength": 1},
}
IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of the revision that the change is meant for; without it, any.",
    "schema": {"type": "string"},
}
# Every parameter may be empty, as the contract writes them.
EMPTY = {"type": "string", "maxLength": 0}
_ANY_STATUS = "|".join(STATUSES)
STATUS = {
    "name": "status",
    "description": "Only experiments with this status; several with commas between them.",
    "schema": {"type": "string", "pattern": f"^(({_ANY_STATUS})(,({_ANY_STATUS}))*)?$"},
}
WORDS = {
    "name": "q",
    "description": "Only experiments with this text in their id, name or description, whatever its case.",
    "schema": {"type": "string", "maxLength": 200, "pattern": r"^[^\u0000]*$"},
}
SORT = {
    "name": "sort",
    "description": f"By which field; with a minus before it, descending. {DEFAULT_SORT} when it is missing.",
    "schema": {"type": "string", "enum": [*(sign + name for name in SORTS for sign in ("", "-")), ""]},
}
LIMIT = {
    "name": "limit",
    "description": f"How many at most; {DEFAULT_LIMIT} when it is missing.",
    "schema": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT}, EMPTY]},
}
CURSOR = {
    "name": "cursor",
    "description": "From the Link header of the page before.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9_-]*$"},
}
REVISION_CURSOR = {**CURSOR, "schema": {"type": "string", "pattern": "^([1-9][0-9]{0,17})?$"}}
NEW_BODY = json_body(NewExperiment)
NEW_BODY["requestBody"]["content"]["application/json"]["example"] = EXAMPLE_REQUEST
