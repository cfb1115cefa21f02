"""Event ids: which ones clients may give, and the ones made for events that come without."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime

# The digit of a UUID that holds its variant: two bits of it are fixed.
_VARIANT_DIGITS = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
_UUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")


def given_event_id(text: str) -> str | None:
    """Return a client's id in lower case, None when it is not a UUID in its usual form (of any version)."""
    return text.lower() if _UUID.fullmatch(text) else None


def batch_key(user: str, session_id: str | None, install_id: str | None, sent_at: str | None) -> str:
    """Return the part of a made id that all events of a batch share: texts as sent (user trimmed), absent as empty."""
    return f"{user}|{session_id or ''}|{install_id or ''}|{sent_at or ''}"


def made_event_id(key: str, index: int, event_name: str, occurred_at: str) -> str:
    """Return the id of an event that came without: the same for each retry of its batch.

    SHA-256 over the batch's key, the event's index, name and time as sent; its first 16 bytes as a version 5 UUID.
    """
    digest = hashlib.sha256(f"{key}|{index}|{event_name}|{occurred_at}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def own_event_id(nonce: bytes, index: int, received_at: datetime) -> str:
    """Return the id of an event that has none of its own, and is no retry of another: from its request's nonce.

    A UUID of version 7, as `spooled_event_id` makes them.
    """
    return _timed_id(received_at, b"%b|%d" % (nonce, index))


def spooled_event_id(spool_id: uuid.UUID, seq: int, position: int, received_at: datetime) -> str:
    """Return the id of a spooled event that has none of its own: the same whenever its delivery is drained.

    `seq` is the delivery's number in the spool, `position` the event's place in it. A UUID of version 7: 48 bits of
    `received_at` in milliseconds, so that ids rise with time, then SHA-256 over where it lay.
    """
    return _timed_id(received_at, b"%b|%d|%d" % (spool_id.bytes, seq, position))


def _timed_id(received_at: datetime, origin: bytes) -> str:
    time = f"{int(received_at.timestamp() * 1000 + 0.001):012x}"  # a float is exact to a fraction of a microsecond
    digest = hashlib.sha256(origin).hexdigest()
    variant = _VARIANT_DIGITS[digest[3]]
    return f"{time[:8]}-{time[8:]}-7{digest[:3]}-{variant}{digest[4:7]}-{digest[7:19]}"
