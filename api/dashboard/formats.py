"""How the dashboard writes numbers and times: never more digits than the data supports, times in UTC and saying so.

Each function takes None for "there is no such number" and then returns a dash. They are the filters of the templates.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

NOTHING = "\N{EN DASH}"
THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
# Below this many people a share is told by its counts: a digit after the point would be invented.
SMALL_COHORT = 20


def count(value: float | None) -> str:
    """Write a number of things, thousands apart: `12 345`; a mean keeps one digit below 100."""
    if value is None:
        return NOTHING
    if value == int(value) or abs(value) >= 100:
        return f"{round(value):,}".replace(",", THIN_SPACE).replace("-", MINUS)
    return f"{value:.1f}".replace("-", MINUS)


def short_count(value: float | None) -> str:
    """Write a number in few characters, for axes and tight places: `950`, `1.2k`, `34k`, `5.6M`."""
    if value is None:
        return NOTHING
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            scaled = value / size
            return f"{scaled:.0f}{letter}" if abs(scaled) >= 10 else f"{scaled:.1f}{letter}".replace(".0", "")
    return f"{value:g}" if value == int(value) else f"{value:.1f}"


def share(value: float | None, of: float | None = None) -> str:
    """Write a share of 0 to 1 in percent, one digit after the point; none when it is a share of fewer than 20."""
    if value is None:
        return NOTHING
    return f"{value * 100:.0f}%" if of is not None and of < SMALL_COHORT else f"{value * 100:.1f}%"


def seconds(value: float | None) -> str:
    """Write a span of seconds in the unit that fits: `320 ms`, `1.2 s`, `3 min`, `2 h`, `4 d`."""
    if value is None:
        return NOTHING
    for size, unit in ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min")):
        if abs(value) >= size:
            return _in_unit(value / size, unit)
    if value == 0 or abs(value) >= 1:
        return _in_unit(value, "s")
    return _in_unit(value * 1_000, "ms")


def byte_size(value: float | None) -> str:
    """Write a number of bytes: `812 B`, `4.1 kB`, `2.0 GB`, by thousands."""
    if value is None:
        return NOTHING
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.0f} B"


def change(value: float | None) -> str:
    """Write a relative change, 0.12 as `+12%`; below 10 % with one digit after the point."""
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else MINUS if value < 0 else "±"
    percent = abs(value) * 100
    return f"{sign}{percent:.0f}%" if percent >= 10 or percent == 0 else f"{sign}{percent:.1f}%"


def points(value: float | None) -> str:
    """Write a difference of two shares, 0.018 as `+1.8 points`."""
    if value is None:
        return NOTHING
    sign = "+" if value > 0 else MINUS if value < 0 else "±"
    return f"{sign}{abs(value) * 100:.1f} points"


def moment(value: datetime | str | None) -> str:
    """Write a moment to the minute: `19 Feb 2026 08:30 UTC`; `value` is aware, or ISO 8601."""
    if value is None:
        return NOTHING
    at = _aware(value)
    return f"{at.day} {at:%b %Y %H:%M} UTC"


def short_moment(value: datetime | str | None) -> str:
    """Write a moment in UTC for a narrow column: `19 Feb 2026`, and `19 Feb 2026 08:30` when it is not midnight."""
    if value is None:
        return NOTHING
    at = _aware(value)
    return f"{at.day} {at:%b %Y}" if (at.hour, at.minute) == (0, 0) else f"{at.day} {at:%b %Y %H:%M}"


def short_day(value: date | None) -> str:
    """Write a UTC day with its year: `19 Feb 2026`."""
    return NOTHING if value is None else f"{value.day} {value:%b %Y}"


def clock_time(value: datetime | str | None, now: datetime) -> str:
    """Write a moment as briefly as it can be understood now: `08:30 UTC` today, else with its day."""
    if value is None:
        return NOTHING
    at = _aware(value)
    return f"{at:%H:%M} UTC" if at.date() == now.astimezone(UTC).date() else f"{at.day} {at:%b %H:%M} UTC"


def day(value: date | str | None) -> str:
    """Write a UTC day: `Thu 19 Feb`; `value` is a date, or ISO 8601."""
    if value is None:
        return NOTHING
    found = date.fromisoformat(value[:10]) if isinstance(value, str) else value
    return f"{found:%a} {found.day} {found:%b}"


def _aware(value: datetime | str) -> datetime:
    return (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)


def _in_unit(value: float, unit: str) -> str:
    text = f"{value:.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.1f}"
    return f"{text} {unit}".replace("-", MINUS)
