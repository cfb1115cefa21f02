"""The plan of a demo: fixed before anything is written, so that an interrupted demo can be completed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from pipeline.clock import day_start

DEFAULT_USERS = 2_000
DEFAULT_DAYS = 30
# With this one, what is measured lies close to the truth; others show how far chance can lead at this size.
DEFAULT_SEED = 12
# Just after midnight hardly anything has been received "today": the API then gets the last hours of yesterday too.
LEAST_LIVE = timedelta(hours=3)


@dataclass(frozen=True)
class Plan:
    """`users` people over the `days` UTC days that end with the day of `now` (aware), drawn from `seed`."""

    users: int
    days: int
    seed: int
    now: datetime

    @property
    def last_day(self) -> date:
        """The UTC day of `now`, simulated up to that moment."""
        return self.now.astimezone(UTC).date()

    @property
    def first_day(self) -> date:
        """The UTC day on which the first people arrive."""
        return self.last_day - timedelta(days=self.days - 1)

    @property
    def cut(self) -> datetime:
        """What was received before this moment is history and imported; the rest is sent to the API."""
        return min(day_start(self.last_day), self.now - LEAST_LIVE)
