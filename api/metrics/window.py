"""What a metrics request asks for: a window of UTC days that ends with today, and an optional name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from starlette.requests import Request

from api.errors import InvalidRequestError
from api.json_text import text_problem
from pipeline.clock import day_start, iso_millis

DEFAULT_DAYS = 7
MAX_DAYS = 90
_DAYS = re.compile(r"0?[1-9]|[1-8][0-9]|90")


@dataclass(frozen=True)
class MetricsWindow:
    """The last `days` UTC days, `last` being today."""

    days: int
    last: date

    @property
    def first(self) -> date:
        """Its first day."""
        return self.last - timedelta(days=self.days - 1)

    def header(self, now: datetime) -> dict[str, str]:
        """Return the fields that windowed answers begin with; the end is the first moment after the window."""
        return {
            "generated_at": iso_millis(now),
            "window_start": iso_millis(day_start(self.first)),
            "window_end": iso_millis(day_start(self.last + timedelta(days=1))),
        }


def read_window(request: Request, now: datetime) -> MetricsWindow:
    """Read `window_days`. Raises InvalidRequestError unless it is given at most once, as an integer from 1 to 90."""
    given = request.query_params.getlist("window_days") or [str(DEFAULT_DAYS)]
    if len(given) > 1 or not _DAYS.fullmatch(given[0]):
        raise InvalidRequestError(f"Query parameter 'window_days' must be an integer between 1 and {MAX_DAYS}.")
    return MetricsWindow(int(given[0]), now.astimezone(UTC).date())


def read_name(request: Request, parameter: str) -> str | None:
    """Read an optional name to filter by; empty counts as absent. Raises InvalidRequestError for an impossible one."""
    given = request.query_params.getlist(parameter)
    if len(given) > 1 or any(text_problem(name) for name in given):
        raise InvalidRequestError(f"Query parameter '{parameter}' must be given once, as text.")
    return given[0] or None if given else None
