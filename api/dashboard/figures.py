"""Figures of a window from daily values: which days count, how they add up, what changed against the window before.

Pure functions over what `api.metrics.queries.read_days` returns. Days are UTC dates; a day is complete when it is over,
and mature for a 24 hour rate when the 24 hours of its last user are over too.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from api.metrics.queries import VOLUME
from api.metrics.window import MetricsWindow

# Days at the end of a window that are not over; and whose users' 24 hours are not over.
UNFINISHED_DAYS = 1
IMMATURE_DAYS = 2


@dataclass(frozen=True)
class Figure:
    """One number of the window: `value` over its complete days, `before` over those of the window before.

    Both are None without data, `before` also when the window before has fewer days with data: sums of unlike windows do
    not compare. `trend` has a value or None for each day of the window; the last `partial` of them are not complete.
    `days` is the number of days behind `value`.
    """

    value: float | None
    before: float | None
    trend: Sequence[float | None]
    partial: int
    latest: float | None
    today: float | None
    days: int

    @property
    def change(self) -> float | None:
        """The relative change against the window before; None where there is none to tell."""
        if self.value is None or not self.before:
            return None
        return self.value / self.before - 1

    @property
    def difference(self) -> float | None:
        """The difference to the window before, for shares."""
        return None if self.value is None or self.before is None else self.value - self.before


@dataclass(frozen=True)
class DailyValues:
    """The published daily metrics of a window and the one before, by day."""

    window: MetricsWindow
    days: Mapping[date, Mapping[str, Any]]

    def trend(self, name: str) -> list[float | None]:
        """Return a metric's value on each day of the window, None where nothing is published."""
        return [self._value(day, name) for day in window_days(self.window)]

    def mean(self, name: str) -> Figure:
        """Return the mean over complete days."""
        return self._figure(name, _mean)

    def total(self, name: str) -> Figure:
        """Return the sum over complete days."""
        return self._figure(name, _total)

    def median(self, name: str) -> Figure:
        """Return the median over complete days with events; a lag of 0 stands for a day without."""
        return self._figure(
            name, lambda values: statistics.median(found) if (found := [v for v in values if v]) else None
        )

    def pooled_rate(self, name: str, weights: str) -> Figure:
        """Return a rate over mature days, each weighted by its users."""

        def over(days: Sequence[date]) -> tuple[float | None, int]:
            pairs = [(self._value(day, name), self._value(day, weights)) for day in days]
            known = [(rate, users) for rate, users in pairs if rate is not None and users is not None]
            users = sum(count for _, count in known)
            return (sum(round(rate * count) for rate, count in known) / users if users else None), len(known)

        now, before = self._stretches(IMMATURE_DAYS)
        value, days = over(now)
        earlier, days_before = over(before)
        trend = [
            value if self._value(day, weights) else None
            for day, value in zip(window_days(self.window), self.trend(name), strict=True)
        ]
        latest = self.latest(name, IMMATURE_DAYS)
        comparable = earlier if days_before >= days else None
        return Figure(value, comparable, trend, IMMATURE_DAYS, latest, self._value(self.window.last, name), days)

    def users_behind(self, weights: str) -> int:
        """Return how many users a pooled rate of the window is of."""
        return round(sum(self._value(day, weights) or 0 for day in self._stretches(IMMATURE_DAYS)[0]))

    def latest(self, name: str, skip: int = UNFINISHED_DAYS) -> float | None:
        """Return the value of the last day that is complete."""
        return self._value(self.window.last - timedelta(days=skip), name)

    def volumes(self) -> list[tuple[str, float, float | None, float]]:
        """Return the window's events by name, the most frequent first: name, total, total before, and today.

        The total includes today. None is given for before while that window has fewer days with data.
        """
        days = window_days(self.window)
        earlier = window_days(MetricsWindow(self.window.days, self.window.first - timedelta(days=1)))
        now, before = self._summed(days), self._summed(earlier)
        is_whole = sum(day in self.days for day in earlier) >= sum(day in self.days for day in days)
        today = self.days.get(self.window.last, {}).get(VOLUME, {})
        return sorted(
            (
                (name, total, before.get(name, 0) if is_whole else None, today.get(name, 0))
                for name, total in now.items()
            ),
            key=lambda row: (-row[1], row[0]),
        )

    def _summed(self, days: Sequence[date]) -> dict[str, float]:
        totals: dict[str, float] = {}
        for day in days:
            for name, value in self.days.get(day, {}).get(VOLUME, {}).items():
                totals[name] = totals.get(name, 0) + value
        return totals

    def _figure(self, name: str, combine: Any) -> Figure:  # noqa: ANN401 - a function of values
        now, before = ([self._value(day, name) for day in days] for days in self._stretches(UNFINISHED_DAYS))
        known, known_before = ([value for value in values if value is not None] for values in (now, before))
        return Figure(
            combine(known),
            combine(known_before) if len(known_before) >= len(known) else None,
            self.trend(name),
            UNFINISHED_DAYS,
            self.latest(name),
            self._value(self.window.last, name),
            len(known),
        )

    def _stretches(self, unfinished: int) -> tuple[list[date], list[date]]:
        """Return the finished days of the window, and as many days of the window before."""
        now = window_days(self.window)[: self.window.days - unfinished]
        return now, [day - timedelta(days=self.window.days) for day in now]

    def _value(self, day: date, name: str) -> float | None:
        value: float | None = self.days.get(day, {}).get(name)
        return value


def daily_values(window: MetricsWindow, found: Mapping[str, Any]) -> DailyValues:
    """Return the answer of `read_days` about `window` and the one before, ready for figures."""
    return DailyValues(window, {date.fromisoformat(row["day"]): row["metrics"] for row in found["days"]})


def window_days(window: MetricsWindow) -> list[date]:
    """Return the days of a window, ascending."""
    first = window.first
    return [first + timedelta(days=number) for number in range(window.days)]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _total(values: Sequence[float]) -> float | None:
    return sum(values) if values else None
