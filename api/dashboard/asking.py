"""The address of the question "where does this number come from?"."""

from __future__ import annotations

import re
from datetime import date
from urllib.parse import quote_plus

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")


def ask(
    metric: str,
    *,
    day: date | str | None = None,
    days: int | None = None,
    dimension: str | None = None,
    experiment: str | None = None,
    variant: str | None = None,
    funnel: str | None = None,
    step: str | None = None,
    days_after: int | None = None,
    change: bool = False,
) -> str:
    """Return where a number of the catalogue is explained: one of a UTC day, or one derived over a window of `days`.

    `change`: its change against the window before.
    """
    given = {
        "metric": metric,
        "day": day,
        "days": days,
        "dimension": dimension,
        "experiment": experiment,
        "variant": variant,
        "funnel": funnel,
        "step": step,
        "days_after": days_after,
        "change": 1 if change else None,
    }
    # urlencode does the same, and takes five times as long: a page asks thousands of times.
    return "/provenance?" + "&".join(f"{name}={_quoted(value)}" for name, value in given.items() if value is not None)


def _quoted(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else quote_plus(text)
