"""Event ids: which ones clients may give, and the ones made for events that come without."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# Where a UUID holds its version (7) and variant (binary 10).
_VERSION_BITS = 0xF << 76 | 0b11 << 62
_VERSION_7 = 0x7 << 76 | 0b10 << 62
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


def spooled_event_id(spool_id: uuid.UUID, seq: int, position: int, received_at: datetime) -> str:
    """Return the id of a spooled event that has none of its own: the same whenever its delivery is drained.

    `seq` is the delivery's number in the spool, `position` the event's place in it. A UUID of version 7: 48 bits of
    `received_at` in milliseconds, so that ids rise with time, then SHA-256 over where it lay.
    """
    milliseconds = (received_at - _EPOCH) // _MILLISECOND
    digest = hashlib.sha256(b"%b|%d|%d" % (spool_id.bytes, seq, position)).digest()
    number = milliseconds << 80 | int.from_bytes(digest[:10], "big")
    return str(uuid.UUID(int=number & ~_VERSION_BITS | _VERSION_7))
