"""Events of the campaign protocol: one JSON object each, checked as a batch, each by itself.

An event that is wrong is refused alone, with everything that is wrong with it.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from api.bodies import read_json
from api.errors import InvalidRequestError
from api.identifiers import identifier_problem, trim
from api.ingestion.batch import EventBatch
from api.ingestion.delivery import Delivery
from api.ingestion.event_ids import given_event_id, own_event_id
from api.ingestion.timestamps import TimestampError, TimestampRangeError, parse_timestamp
from api.ingestion.validation import MAX_AHEAD, MAX_EVENTS
from api.json_text import encode_json, text_problem, value_problem
from pipeline.ingestion.event_store import EventRow

EVENT_TYPES = ("PAGE_VIEW", "CLICK", "CONVERSION")
SOURCE = "campaign"
NOT_A_BATCH = "events must be an array"
NO_CONTEXT = msgspec.json.encode({"source": SOURCE}).decode()


class RefusedError(Exception):
    """An event that is not acceptable; `messages` says everything that is wrong with it."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("; ".join(messages))
        self.messages = messages


def read_campaign_events(delivery: Delivery, happened: datetime | None = None) -> EventBatch:
    """Read the events of a delivery, `{"events": [...]}`; each time with the same ids, which its nonce makes.

    `happened` is the time of events without a timestamp, that of receipt if it is None.
    Raises InvalidRequestError when the body is no batch of 1 to 100 events.
    """
    document = read_json(delivery.body)
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise InvalidRequestError(NOT_A_BATCH)
    if not 1 <= len(events) <= MAX_EVENTS:
        raise InvalidRequestError(f"events must contain 1 to {MAX_EVENTS} events")
    batch = EventBatch(delivery.tenant_id, delivery.received_at, len(delivery.body))
    for index, event in enumerate(events):
        try:
            row = read_event(event, delivery, index, happened or delivery.received_at)
        except RefusedError as refusal:
            batch.errors[index] = str(refusal)
        else:
            batch.rows.append(row)
            batch.indexes.append(index)
    return batch


def read_event(event: object, delivery: Delivery, index: int, happened: datetime) -> EventRow:
    """Read one event of a delivery, decoded as `decode_json` does. Raises RefusedError with all that is wrong.

    `experimentId` and `variant` of its properties, where both are texts, are kept as its exposure beside them.
    """
    if not isinstance(event, dict):
        raise RefusedError(["an event must be an object"])
    errors: list[str] = []
    user = _user(event, errors)
    event_type = event.get("eventType")
    if not isinstance(event_type, str) or event_type not in EVENT_TYPES:
        errors.append(f"eventType must be one of the following values: {', '.join(EVENT_TYPES)}")
    properties = event.get("properties")
    if properties is None:
        properties = {}
    if not isinstance(properties, dict):
        errors.append("properties must be an object")
        properties = {}
    elif problem := value_problem(properties, "properties"):
        errors.append(problem)
    occurred_at = _occurred_at(event, delivery.received_at, errors) or happened
    event_id = _event_id(event, errors)
    if errors:
        raise RefusedError(errors)
    return EventRow(
        event_id or own_event_id(delivery.nonce or b"", index, delivery.received_at),
        delivery.tenant_id,
        user,
        None,
        None,
        None,
        None,
        str(event_type),
        occurred_at,
        delivery.received_at,
        None,
        encode_json(properties),
        _context(properties),
    )


def _user(event: dict[str, object], errors: list[str]) -> str:
    given = event.get("userId")
    if given is None or given == "":
        errors.append("userId should not be empty")
        return ""
    if not isinstance(given, str):
        errors.append("userId must be a string")
        return ""
    user = trim(given)
    problem = identifier_problem("userId", user) if user else "userId should not be empty"
    if problem:
        errors.append(problem)
    return user


def _occurred_at(event: dict[str, object], received_at: datetime, errors: list[str]) -> datetime | None:
    given = event.get("timestamp")
    if given is None:
        return None
    try:
        moment = parse_timestamp(given) if isinstance(given, str) and given else None
    except TimestampRangeError:
        errors.append("timestamp must be from 1970-01-01 on and not later than 9999-12-31")
        return None
    except TimestampError:
        moment = None
    if moment is None:
        errors.append("timestamp must be a valid ISO 8601 date string")
    elif moment > received_at + MAX_AHEAD:
        errors.append("timestamp must not be more than 5 minutes in the future")
    return moment


def _event_id(event: dict[str, object], errors: list[str]) -> str | None:
    given = event.get("eventId")
    if given is None:
        return None
    event_id = given_event_id(given) if isinstance(given, str) else None
    if event_id is None:
        errors.append("eventId must be a UUID")
    return event_id


def _context(properties: dict[str, object]) -> str:
    experiment_id, variant = properties.get("experimentId"), properties.get("variant")
    if not (isinstance(experiment_id, str) and isinstance(variant, str)) or text_problem(experiment_id + variant):
        return NO_CONTEXT
    exposure = {"experiment_id": experiment_id, "variant_id": variant}
    return msgspec.json.encode({"source": SOURCE, "exposure": exposure}).decode()
