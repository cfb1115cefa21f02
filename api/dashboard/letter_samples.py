"""A refused event as a sample that names nobody: keys and the values that rules are about, everything else shortened.

A refused event is whatever somebody sent: any text in it may be somebody's id or address. So only values under a few
known keys are shown as they are, and what is no JSON object is not shown at all.
"""

from __future__ import annotations

import json
from typing import Any

from api.errors import InvalidRequestError
from api.experiments.requests import read_document

SAMPLE_BYTES = 4_000
MAX_CHARACTERS = 300
MAX_PLAIN = 60
SHOWN_LETTERS = 2
# What rules are about and no one is named by.
PLAIN_KEYS = frozenset(
    (
        "event_name", "eventName", "event", "event_type", "eventType", "type", "name", "platform", "app_version",
        "appVersion", "occurred_at", "occurredAt", "received_at", "sent_at", "timestamp", "time", "schema_version",
        "assignment_version",
    )
)  # fmt: skip


def sample(content: bytes) -> str:
    """Return a refused event, cut to SAMPLE_BYTES, as short text without anybody's id."""
    try:
        value = read_document(content)
    except InvalidRequestError:
        return f"{len(content)} bytes that are no JSON" if len(content) < SAMPLE_BYTES else "too large to show"
    if not isinstance(value, dict):
        return f"JSON that is no object ({_kind(value)})"
    text = json.dumps(_masked(value, is_plain=False), ensure_ascii=False)
    return text if len(text) <= MAX_CHARACTERS else f"{text[:MAX_CHARACTERS]}…"


def _masked(value: Any, *, is_plain: bool) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return {_key(key): _masked(item, is_plain=key in PLAIN_KEYS) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, is_plain=is_plain) for item in value]
    if isinstance(value, str):
        return value[:MAX_PLAIN] if is_plain else _shortened(value)
    if isinstance(value, bool) or value is None or is_plain:
        return value
    return "a number"  # a web shop's users are numbers


def _key(key: str) -> str:
    """Keys are those of a protocol; a long one may be somebody's id that became a key."""
    return key if len(key) <= 24 else _shortened(key)


def _shortened(text: str) -> str:
    """Return the first letters of a text, never half of it or more."""
    shown = min(SHOWN_LETTERS, max(len(text) - 1, 0) // 2)
    return f"{text[:shown]}…" if text else ""


def _kind(value: Any) -> str:  # noqa: ANN401 - any JSON value
    return {list: "a list", str: "a text", bool: "true or false"}.get(type(value), "a number or null")
