"""The time now, as a parameter: functions take a Clock, so that tests decide what time it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the current time with the UTC zone attached."""
    return datetime.now(UTC)


def iso_millis(moment: datetime) -> str:
    """Format an aware datetime as the contracts do: UTC, milliseconds (cut, not rounded), `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def day_start(day: date) -> datetime:
    """Return 00:00 UTC of a day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
