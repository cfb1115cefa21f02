"""Makes dead letters of a request: each refused event cut out of the body exactly as it was sent.

Only called for bodies that a protocol accepted as a whole, and only when it refused some of the events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from api.json_text import MalformedJsonError, decode_json
from pipeline.ingestion.dead_letters import DeadLetter

# The index of a letter that is a request as a whole, since it cannot be read as a batch any more.
WHOLE_REQUEST = -1
EVENTS = "events"
# The envelope goes with each of up to 100 events: what else a client sends there must not be kept a hundred times.
KNOWN_FIELDS = frozenset({"anonymous_user_id", "session_id", "install_id", "platform", "app_version", "sent_at"})
MAX_ENVELOPE_BYTES = 16 * 2**10
_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},]', re.DOTALL)
_MEMBER = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*:\s*', re.DOTALL)
_JSON_SPACE = " \t\r\n"

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def dead_letters(
    protocol: str, tenant_id: str, received_at: datetime, body: bytes, errors: Mapping[int, str]
) -> list[DeadLetter]:
    """Return a letter for each refused event of a request, in the order of their indexes. Never raises.

    `errors` maps the indexes to the reasons. An index that the body has no event for, as WHOLE_REQUEST, or as any of a
    body that is no batch, gives a letter with all of the body.
    The envelope holds the shared fields; those that no protocol knows are left out when it would exceed 16 KiB, and all
    of them when it still does.
    """
    if not errors:
        return []
    envelope, events = _cut(body)
    return [
        DeadLetter(tenant_id, received_at, protocol, index, errors[index], envelope, events[index])
        if 0 <= index < len(events)
        else DeadLetter(tenant_id, received_at, protocol, index, errors[index], b"{}", body)
        for index in sorted(errors)
    ]


def single_event_body(envelope: bytes, event: bytes) -> bytes:
    """Return a request body with one event, of a letter's envelope and its event."""
    shared = envelope.strip()[1:-1].strip()
    return b"{" + shared + (b"," if shared else b"") + b'"events":[' + event + b"]}"


def _cut(body: bytes) -> tuple[bytes, list[bytes]]:
    """Return a body's shared fields as an object, and its events; no events when it is no batch."""
    try:
        fields = {name: bytes(value) for name, value in _decode_object(body).items()}
        events = [bytes(event) for event in _decode_list(fields.pop(EVENTS))]
    except (KeyError, ValueError, RecursionError):  # too deep, or with names that are no text, or no batch at all
        try:
            fields, events = _scan(body)
        except MalformedJsonError:
            return b"{}", []
    return _envelope(fields), events


def _envelope(fields: Mapping[str, bytes]) -> bytes:
    known = {name: value for name, value in fields.items() if name in KNOWN_FIELDS}
    for candidate in (fields, known):
        members = [json.dumps(name).encode() + b":" + value for name, value in candidate.items()]
        envelope = b"{" + b",".join(members) + b"}"
        if len(envelope) <= MAX_ENVELOPE_BYTES:
            return envelope
    return b"{}"


def _scan(body: bytes) -> tuple[dict[str, bytes], list[bytes]]:
    """Cut a body of any depth, without recursion: its fields but the events, and the events.

    Raises MalformedJsonError when the body is not JSON.
    """
    decode_json(body)
    text = body.decode("utf-8-sig").strip(_JSON_SPACE)
    fields = {}
    for part in _parts(text) if text.startswith("{") else ():
        member = _MEMBER.match(part)
        if member is not None:
            fields[str(json.loads(member[1]))] = part[member.end() :]  # the last of equal names wins, as in reading
    events = fields.pop(EVENTS, "")
    return (
        {name: value.encode() for name, value in fields.items()},
        [event.encode() for event in _parts(events)] if events.startswith("[") else [],
    )


def _parts(text: str) -> list[str]:
    """Split the content of an array or object at its own commas."""
    parts = []
    depth = 0
    start = 1
    for mark in _MARK.finditer(text):
        if mark[0] in "[{":
            depth += 1
        elif mark[0] in "]}":
            depth -= 1
        elif mark[0] == "," and depth == 1:
            parts.append(text[start : mark.start()])
            start = mark.end()
    parts.append(text[start:-1])
    return [part.strip(_JSON_SPACE) for part in parts]
