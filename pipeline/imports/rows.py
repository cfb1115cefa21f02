"""Turns records of an imported file into rows that can be stored, or says what is wrong with them.

The rules are the API's (see docs/guides/import.md), except that any time of the years 1970 to 9999 is accepted: history
has no limit relative to now. Pure: no file, no database.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any, NamedTuple, NoReturn, TypeVar

import msgspec

from pipeline.ingestion.event_store import EventRow
from pipeline.ingestion.retail_stats import is_visit

DEFAULT_TENANT = "default"
LONGEST_VISIT_NAME = 100
EVENT_NAME = re.compile(r"[A-Za-z0-9_]{1,80}")
LONGEST_ID = 512
FIRST_YEAR = 1970
INT32 = range(-(2**31), 2**31)
ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
EVENT_COLUMNS = frozenset(EventRow._fields)
EVENT_JSON_COLUMNS = frozenset({"properties", "context", "assignments", "experiment_map"})
EVENT_REQUIRED = ("anonymous_user_id", "event_name", "occurred_at")

T = TypeVar("T")

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_map = msgspec.json.Decoder(dict[str, str]).decode


class AssignmentRow(NamedTuple):
    """One assignment, ready to store; fields in the order of `sql/import/copy_incoming_assignments.sql`."""

    tenant_id: str
    anonymous_user_id: str
    experiment_id: str
    variant_id: str
    assignment_version: int
    assigned_at: datetime


ASSIGNMENT_COLUMNS = frozenset(AssignmentRow._fields)
ASSIGNMENT_REQUIRED = ("anonymous_user_id", "experiment_id", "variant_id")


class RowError(ValueError):
    """A row that cannot be stored: names the column, what is wrong with it and what it should be."""


def to_event(values: Mapping[str, Any], tenants: frozenset[str], now: datetime) -> EventRow:
    """Return the event of a record's columns. Raises RowError.

    `now` stands in for a missing received_at. A missing event_id is derived from the content, so that the same row
    gets the same id whenever and from whichever file it is imported.
    """
    tenant_id = _tenant(values, tenants)
    context = _json_object(values, "context")
    visit = is_visit(context)
    assignments, experiment_map = _stamp(values)
    row = EventRow(
        event_id="",
        tenant_id=tenant_id,
        anonymous_user_id=_text(values, "anonymous_user_id", required=not visit) or "",
        session_id=_text(values, "session_id"),
        install_id=_text(values, "install_id"),
        platform=_text(values, "platform"),
        app_version=_text(values, "app_version"),
        event_name=_visit_name(values) if visit else _event_name(values),
        occurred_at=_moment(values, "occurred_at") or _missing("occurred_at"),
        received_at=_moment(values, "received_at") or now,
        sent_at=_moment(values, "sent_at"),
        properties=_json_object(values, "properties"),
        context=context,
        assignment_version=_integer(values, "assignment_version"),
        assignments=assignments,
        experiment_map=experiment_map,
        schema_version=_integer(values, "schema_version", 1) or 0,
    )
    return row._replace(event_id=_event_id(values) or derived_event_id(row))


def to_assignment(values: Mapping[str, Any], tenants: frozenset[str], now: datetime) -> AssignmentRow:
    """Return the assignment of a record's columns; `now` stands in for a missing assigned_at. Raises RowError."""
    return AssignmentRow(
        tenant_id=_tenant(values, tenants),
        anonymous_user_id=_text(values, "anonymous_user_id", required=True) or "",
        experiment_id=_text(values, "experiment_id", required=True) or "",
        variant_id=_text(values, "variant_id", required=True) or "",
        assignment_version=_integer(values, "assignment_version", 1) or 0,
        assigned_at=_moment(values, "assigned_at") or now,
    )


def derived_event_id(row: EventRow) -> str:
    """Return the id of an event that came without one: a UUID over who, what, when and the payload's text."""
    parts = [
        row.tenant_id,
        row.anonymous_user_id,
        row.session_id,
        row.install_id,
        row.event_name,
        row.occurred_at.astimezone(UTC).isoformat(timespec="microseconds"),
        row.properties,
        row.context,
    ]
    digest = hashlib.sha256(json.dumps(parts, ensure_ascii=True).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _tenant(values: Mapping[str, Any], tenants: frozenset[str]) -> str:
    tenant_id = values.get("tenant_id")
    if tenant_id is None:
        return DEFAULT_TENANT
    if tenant_id not in tenants:
        raise RowError(f"tenant_id: {_shown(tenant_id)} is not a tenant of this installation")
    return str(tenant_id)


def _event_name(values: Mapping[str, Any]) -> str:
    name = values.get("event_name")
    if not isinstance(name, str) or EVENT_NAME.fullmatch(name) is None:
        raise RowError(f"event_name: {_shown(name)} must be 1 to 80 letters, digits or underscores")
    return name


def _visit_name(values: Mapping[str, Any]) -> str:
    """Return the name of a retail event, whose types are free texts."""
    name = _text(values, "event_name", required=True) or ""
    if len(name) > LONGEST_VISIT_NAME:
        raise RowError(f"event_name: {len(name)} characters are too many; the limit is {LONGEST_VISIT_NAME}")
    return name


def _text(values: Mapping[str, Any], name: str, *, required: bool = False) -> str | None:
    value = values.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or (isinstance(value, str) and required and not value.strip()):
        return _missing(name) if required else None
    if not isinstance(value, str):
        raise RowError(f"{name}: {_shown(value)} must be a text")
    text = value.strip() if name == "anonymous_user_id" else value
    if len(text) > LONGEST_ID:
        raise RowError(f"{name}: {len(text)} characters are too many; the limit is {LONGEST_ID}")
    return _storable(text, name)


def _storable(text: str, name: str) -> str:
    if "\0" in text:
        raise RowError(f"{name}: holds U+0000, which Postgres cannot store")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise RowError(f"{name}: holds bytes or surrogates that are not valid UTF-8") from None
    return text


def _moment(values: Mapping[str, Any], name: str) -> datetime | None:
    value = values.get(name)
    if value is None:
        return None
    moment: object = value
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.strip())
        except ValueError:
            raise RowError(f"{name}: {_shown(value)} is not an ISO 8601 date-time") from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        moment = datetime(value.year, value.month, value.day)
    if not isinstance(moment, datetime):
        raise RowError(f"{name}: {_shown(value)} must be an ISO 8601 date-time")
    try:
        utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if utc.year >= FIRST_YEAR:
            return utc
    except OverflowError:
        pass
    raise RowError(f"{name}: {_shown(value)} is outside the years {FIRST_YEAR} to 9999")


def _integer(values: Mapping[str, Any], name: str, default: int | None = None) -> int | None:
    value = values.get(name)
    if value is None:
        return default
    try:
        number = int(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, int) or isinstance(number, bool) or number not in INT32:
        raise RowError(f"{name}: {_shown(value)} must be a whole number of 32 bits")
    return number


def _event_id(values: Mapping[str, Any]) -> str | None:
    value = values.get("event_id")
    if value is None or isinstance(value, uuid.UUID):
        return None if value is None else str(value)
    text = value.hex() if isinstance(value, bytes) and len(value) == 16 else value
    try:
        if isinstance(text, str) and len(text) in (32, 36):
            return str(uuid.UUID(text))
    except ValueError:
        pass
    raise RowError(f"event_id: {_shown(value)} is not a UUID")


def _json_object(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if value is None or value == "null":
        return "{}"
    text = _json_text(value, name)
    try:
        _decode_object(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RowError(f"{name}: {_shown(value)} is not a JSON object ({error})") from None
    return text


def _stamp(values: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return assignments and experiment_map as given, or one made from the other; None, None when neither is."""
    listed, mapped = values.get("assignments"), values.get("experiment_map")
    listed = None if listed == "null" else listed
    mapped = None if mapped == "null" else mapped
    if listed is None and mapped is None:
        return None, None
    pairs: dict[str, str] = {}
    if mapped is not None:
        pairs = _decoded(_decode_map, mapped, "experiment_map", "a JSON object of texts")
    if listed is None:
        made = [{"experiment_id": key, "variant_id": pairs[key], "variant_name": pairs[key]} for key in sorted(pairs)]
        return json.dumps(made, ensure_ascii=False), str(mapped)
    items = _decoded(_decode_list, listed, "assignments", "a JSON list of objects")
    if mapped is not None:
        return str(listed), str(mapped)
    try:
        made_map = {msgspec.json.decode(i["experiment_id"]): msgspec.json.decode(i["variant_id"]) for i in items}
    except (KeyError, TypeError):
        raise RowError("assignments: each needs an experiment_id and a variant_id") from None
    if not all(isinstance(text, str) for pair in made_map.items() for text in pair):
        raise RowError("assignments: experiment_id and variant_id must be texts")
    return str(listed), json.dumps(made_map, ensure_ascii=False)


def _decoded(decode: Callable[[str], T], value: object, name: str, wanted: str) -> T:
    try:
        return decode(_json_text(value, name))
    except (msgspec.DecodeError, RecursionError) as error:
        raise RowError(f"{name}: {_shown(value)} is not {wanted} ({error})") from None


def _json_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RowError(f"{name}: {_shown(value)} must be JSON")
    text = _storable(value, name)
    if "\\u0000" in text and ESCAPED_NUL.search(text):
        raise RowError(f"{name}: holds U+0000, which Postgres cannot store")
    return text


def _missing(name: str) -> NoReturn:
    raise RowError(f"{name}: is required")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
