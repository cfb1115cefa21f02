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
STATUS = {
    "name": "status",
    "description": "Only experiments with this status; several with commas between them.",
    "schema": {"type": "string", "enum": list(STATUSES)},
}
WORDS = {
    "name": "q",
    "description": "Only experiments with this text in their id, name or description, whatever its case.",
    "schema": {"type": "string", "maxLength": 200},
}
SORT = {
    "name": "sort",
    "description": "By which field; with a minus before it, descending.",
    "schema": {
        "type": "string",
        "enum": [sign + name for name in SORTS for sign in ("", "-")],
        "default": DEFAULT_SORT,
    },
}
LIMIT = {
    "name": "limit",
    "description": "How many at most.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAXIMUM_LIMIT, "default": DEFAULT_LIMIT},
}
CURSOR = {
    "name": "cursor",
    "description": "From the Link header of the page before.",
    "schema": {"type": "string"},
}
NEW_BODY = json_body(NewExperiment)
NEW_BODY["requestBody"]["content"]["application/json"]["example"] = EXAMPLE_REQUEST
