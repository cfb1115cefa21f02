"""Visits as web shops send them: one JSON object each, checked by the rules of the retail protocol.

`validate_visit` is the definition. `read_visit` is as strict and several times faster for visits that are right; it
hands every other body to the definition, which finds the reasons.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime
from typing import NamedTuple

import msgspec

from api.bodies import MALFORMED_JSON
from api.ingestion.timestamps import TimestampError, parse_timestamp
from api.json_text import JsonNumber, MalformedJsonError, decode_json, text_problem, type_name
from pipeline.ingestion.event_store import EventRow
from pipeline.ingestion.retail_stats import SOURCE

MAX_SITE_ID_CHARACTERS = 255
MAX_EVENT_TYPE_CHARACTERS = 100
MAX_USER_ID_CHARACTERS = 255
MAX_PATH_CHARACTERS = 8192
REQUIRED = ("site_id", "event_type", "path")
LIMITS = {
    "site_id": MAX_SITE_ID_CHARACTERS,
    "event_type": MAX_EVENT_TYPE_CHARACTERS,
    "path": MAX_PATH_CHARACTERS,
    "user_id": MAX_USER_ID_CHARACTERS,
}
BAD_TIMESTAMP = "timestamp must be a valid ISO date string"
NOT_AN_OBJECT = "The body must be a JSON object, not {}."
CONTEXT = f'{{"source":"{SOURCE}"}}'
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_INTEGER = re.compile("-?[0-9]+")


class Visit(NamedTuple):
    """One event of a web shop. `occurred_at` is aware; None means the time of receipt."""

    site_id: str
    event_type: str
    path: str
    user_id: str | None = None
    occurred_at: datetime | None = None


class VisitError(Exception):
    """The body is no visit; `messages` says everything that is wrong with it."""

    def __init__(self, *messages: str) -> None:
        super().__init__("; ".join(messages))
        self.messages = list(messages)


class _Sent(msgspec.Struct):
    site_id: str
    event_type: str
    path: str
    user_id: str | int | None = None
    timestamp: str | None = None


_decode = msgspec.json.Decoder(_Sent).decode
_encode = msgspec.json.encode


def read_visit(body: bytes) -> Visit:
    """Read a visit exactly as `validate_visit` does. Raises VisitError as that does."""
    return accept_visit(body) or validate_visit(body)


def accept_visit(body: bytes) -> Visit | None:
    """Read a visit that is right in every part; None when this quick reader cannot vouch for it."""
    if b"\\u" in body:
        return None
    try:
        body.decode()  # msgspec does not look into what it skips
        sent = _decode(body)
        occurred_at = parse_timestamp(sent.timestamp) if sent.timestamp else None
    except (ValueError, RecursionError):
        return None
    user_id = str(sent.user_id) if isinstance(sent.user_id, int) else sent.user_id
    if (
        not (sent.site_id and sent.event_type and sent.path)
        or len(sent.site_id) > MAX_SITE_ID_CHARACTERS
        or len(sent.event_type) > MAX_EVENT_TYPE_CHARACTERS
        or len(sent.path) > MAX_PATH_CHARACTERS
        or sent.user_id == 0  # may have been sent as -0
        or _CONTROL.search(sent.site_id)
        or _CONTROL.search(sent.event_type)
        or (user_id and (len(user_id) > MAX_USER_ID_CHARACTERS or _CONTROL.search(user_id)))
    ):
        return None
    return Visit(sent.site_id, sent.event_type, sent.path, user_id or None, occurred_at)


def validate_visit(body: bytes) -> Visit:
    """Read a visit. Raises VisitError with all that is wrong: what is missing, the timestamp, then the other fields.

    Unknown fields are ignored. An empty or null `user_id` is no user, an integer one its digits; an empty or null
    `timestamp` is the time of receipt.
    """
    fields = _fields(body)
    errors = [f"{name} is required" for name in REQUIRED if fields.get(name) in (None, "")]
    occurred_at = None
    timestamp = fields.get("timestamp")
    if timestamp not in (None, ""):
        with suppress(TimestampError):
            occurred_at = parse_timestamp(timestamp) if isinstance(timestamp, str) else None
        if occurred_at is None:
            errors.append(BAD_TIMESTAMP)
    user_id = fields.get("user_id")
    if isinstance(user_id, JsonNumber) and _INTEGER.fullmatch(user_id.text):
        fields["user_id"] = user_id.text
    errors += [problem for name in LIMITS if (problem := _problem(name, fields.get(name)))]
    if errors:
        raise VisitError(*errors)
    site_id, event_type, path = (str(fields[name]) for name in REQUIRED)
    return Visit(site_id, event_type, path, str(fields["user_id"]) if fields.get("user_id") else None, occurred_at)


def visit_row(visit: Visit, tenant_id: str, received_at: datetime, event_id: str) -> EventRow:
    """Return the event that a visit is stored as; without a user, `anonymous_user_id` is empty."""
    properties = {"site_id": visit.site_id, "path": visit.path}
    if visit.user_id is not None:
        properties["user_id"] = visit.user_id
    return EventRow(
        event_id,
        tenant_id,
        visit.user_id or "",
        None,
        None,
        None,
        None,
        visit.event_type,
        visit.occurred_at or received_at,
        received_at,
        None,
        _encode(properties).decode(),
        CONTEXT,
    )


def _fields(body: bytes) -> dict[str, object]:
    if not body.strip():
        return {}
    try:
        document = decode_json(body)
    except MalformedJsonError as error:
        raise VisitError(MALFORMED_JSON) from error
    if document == []:
        return {}
    if not isinstance(document, dict):
        raise VisitError(NOT_AN_OBJECT.format(type_name(document)))
    return document


def _problem(name: str, value: object) -> str | None:
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        return f"{name} must be a string"
    if len(value) > LIMITS[name]:
        return f"{name} must be at most {LIMITS[name]} characters"
    problem = text_problem(value)
    if problem is None and name != "path" and _CONTROL.search(value):
        problem = "contains a control character"
    return f"{name} {problem}" if problem else None
