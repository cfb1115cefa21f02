"""Validation of the mobile protocol's batches, with the texts of the mobile contract: the definition.

A bad envelope fails the request; a bad event is refused alone. `fast_path` reads the same batches faster and hands
every batch here that it does not fully accept.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from functools import lru_cache

from api.bodies import read_json
from api.errors import InvalidRequestError
from api.identifiers import PLATFORMS, identifier_problem, trim
from api.ingestion.batch import EventBatch
from api.ingestion.event_ids import batch_key, given_event_id, made_event_id
from api.ingestion.timestamps import TimestampError, TimestampRangeError, parse_timestamp
from api.json_text import encode_json, text_problem, type_name, value_problem
from pipeline.ingestion.event_store import EventRow

MAX_EVENTS = 100
MAX_EVENT_NAME_CHARACTERS = 80
MAX_AHEAD = timedelta(minutes=5)
REQUIRED = "Required"
NOT_ISO = "must be an ISO datetime string"
_EVENT_NAME = re.compile(r"[A-Za-z0-9_]+")


class Envelope:
    """The checked fields that all events of a batch share. Raises InvalidRequestError for the first wrong one."""

    def __init__(self, document: object) -> None:
        fields = _object(document)
        if "anonymous_user_id" not in fields:
            raise InvalidRequestError(REQUIRED)
        self.anonymous_user_id = trim(_text(fields, "anonymous_user_id") or "")
        if not self.anonymous_user_id:
            raise InvalidRequestError("anonymous_user_id is required")
        _check_identifier("anonymous_user_id", self.anonymous_user_id)
        self.session_id = _identifier(fields, "session_id")
        self.install_id = _identifier(fields, "install_id")
        self.app_version = _identifier(fields, "app_version")
        self.platform = _platform(fields)
        self.sent_at_text = _text(fields, "sent_at")
        self.sent_at = read_sent_at(self.sent_at_text)
        self.events = _events(fields)

    @property
    def key(self) -> str:
        """What made event ids of this batch have in common."""
        return batch_key(self.anonymous_user_id, self.session_id, self.install_id, self.sent_at_text)


class RefusedEventError(Exception):
    """One event is not acceptable; the message says why."""


def validate_batch(body: bytes, tenant_id: str, received_at: datetime, first_index: int = 0) -> EventBatch:
    """Read a whole batch of a tenant. Raises InvalidRequestError when the body or its envelope is wrong.

    `first_index` is the place of its first event in the request as it was sent, when this is a part of one: made event
    ids depend on it.
    """
    envelope = Envelope(read_json(body))
    batch = EventBatch(tenant_id, received_at, len(body))
    key = envelope.key
    for index, event in enumerate(envelope.events):
        try:
            row = _row(envelope, key, first_index + index, event, batch)
        except RefusedEventError as refusal:
            batch.errors[index] = str(refusal)
        else:
            batch.rows.append(row)
            batch.indexes.append(index)
    return batch


def read_sent_at(text: str | None) -> datetime | None:
    """Read the envelope's `sent_at`; empty counts as absent. Raises InvalidRequestError when it is no time."""
    if not text:
        return None
    try:
        return parse_timestamp(text)
    except TimestampError as error:
        raise InvalidRequestError(f"sent_at {NOT_ISO}") from error


def read_occurred_at(text: str, received_at: datetime) -> datetime:
    """Read an event's time, at most 5 minutes after `received_at`. Raises RefusedEventError."""
    if not text:
        raise RefusedEventError("occurred_at is required")
    try:
        moment = parse_timestamp(text)
    except TimestampRangeError as error:
        after = text[0] == "9"
        reason = "is too far in the future" if after else "must not be before 1970-01-01"
        raise RefusedEventError(f"occurred_at {reason}") from error
    except TimestampError as error:
        raise RefusedEventError(f"occurred_at {NOT_ISO}") from error
    if moment > received_at + MAX_AHEAD:
        raise RefusedEventError("occurred_at is too far in the future")
    return moment


@lru_cache(maxsize=4096)
def check_event_name(name: str) -> None:
    """Raise RefusedEventError unless it is 1 to 80 letters, digits and underscores."""
    if not name:
        raise RefusedEventError("event_name is required")
    if len(name) > MAX_EVENT_NAME_CHARACTERS:
        raise RefusedEventError(f"event_name must be <= {MAX_EVENT_NAME_CHARACTERS} chars")
    if not _EVENT_NAME.fullmatch(name):
        raise RefusedEventError("event_name has invalid characters")


def _row(envelope: Envelope, key: str, index: int, event: object, batch: EventBatch) -> EventRow:
    if not isinstance(event, dict):
        raise RefusedEventError(f"Expected object, received {type_name(event)}")
    event_name = _event_text(event, "event_name")
    check_event_name(event_name)
    occurred_text = _event_text(event, "occurred_at")
    occurred_at = read_occurred_at(occurred_text, batch.received_at)
    properties = _event_object(event, "properties")
    context = _event_object(event, "context")
    if "event_id" in event:
        event_id = given_event_id(_event_text(event, "event_id"))
        if event_id is None:
            raise RefusedEventError("event_id must be a valid uuid")
    else:
        event_id = made_event_id(key, index, event_name, occurred_text)
    return EventRow(
        event_id,
        batch.tenant_id,
        envelope.anonymous_user_id,
        envelope.session_id,
        envelope.install_id,
        envelope.platform,
        envelope.app_version,
        event_name,
        occurred_at,
        batch.received_at,
        envelope.sent_at,
        properties,
        context,
    )


def _event_text(event: dict[str, object], name: str) -> str:
    if name not in event:
        raise RefusedEventError(REQUIRED)
    value = event[name]
    if not isinstance(value, str):
        raise RefusedEventError(f"{name}: Expected string, received {type_name(value)}")
    problem = text_problem(value)
    if problem:
        raise RefusedEventError(f"{name} {problem}")
    return value


def _event_object(event: dict[str, object], name: str) -> str:
    value = event.get(name, {})
    if not isinstance(value, dict):
        raise RefusedEventError(f"{name}: Expected object, received {type_name(value)}")
    problem = value_problem(value, name)
    if problem:
        raise RefusedEventError(problem)
    return encode_json(value)


def _object(document: object) -> dict[str, object]:
    if not isinstance(document, dict):
        raise InvalidRequestError(f"Expected object, received {type_name(document)}")
    return document


def _text(fields: dict[str, object], name: str) -> str | None:
    if name not in fields:
        return None
    value = fields[name]
    if not isinstance(value, str):
        raise InvalidRequestError(f"Expected string, received {type_name(value)}")
    return value


def _identifier(fields: dict[str, object], name: str) -> str | None:
    value = _text(fields, name)
    if value is not None:
        _check_identifier(name, value)
    return value


def _check_identifier(name: str, value: str) -> None:
    problem = identifier_problem(name, value)
    if problem:
        raise InvalidRequestError(problem)


def _platform(fields: dict[str, object]) -> str | None:
    if "platform" not in fields:
        return None
    value = fields["platform"]
    expected = " | ".join(f"'{platform}'" for platform in PLATFORMS)
    if not isinstance(value, str):
        raise InvalidRequestError(f"Expected {expected}, received {type_name(value)}")
    if value not in PLATFORMS:
        shown = "" if text_problem(value) else f", received '{value[:100]}'"
        raise InvalidRequestError(f"Invalid enum value. Expected {expected}{shown}")
    return value


def _events(fields: dict[str, object]) -> list[object]:
    if "events" not in fields:
        raise InvalidRequestError(REQUIRED)
    events = fields["events"]
    if not isinstance(events, list):
        raise InvalidRequestError(f"Expected array, received {type_name(events)}")
    if not events:
        raise InvalidRequestError("events must be a non-empty array")
    if len(events) > MAX_EVENTS:
        raise InvalidRequestError(f"events must contain at most {MAX_EVENTS} items")
    return events
