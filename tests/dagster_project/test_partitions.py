"""Partition keys become days, and days become unbroken windows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dagster_project.partitions import DAYS, FIRST_DAY, days_of, windows_of
from pipeline.rollups.jobs import Window


def test_a_range_becomes_one_window() -> None:
    days = days_of(["2026-02-17", "2026-02-16", "2026-02-18", "2026-02-16"])
    assert days == [date(2026, 2, 16), date(2026, 2, 17), date(2026, 2, 18)]
    assert windows_of(days) == [Window(date(2026, 2, 16), date(2026, 2, 18))]


@given(st.sets(st.dates(date(2025, 12, 1), date(2026, 3, 1))))
def test_windows_hold_exactly_the_days_and_never_touch(days: set[date]) -> None:
    windows = windows_of(days)
    assert [day for window in windows for day in window.days()] == sorted(days)
    assert all((after.first - before.last).days > 1 for before, after in pairwise(windows))


def test_today_is_a_partition_and_tomorrow_is_not() -> None:
    now = datetime(2026, 2, 19, 0, 0, 1, tzinfo=UTC)
    keys = DAYS.get_partition_keys(current_time=now)
    assert (keys[0], keys[-1]) == (FIRST_DAY.isoformat(), "2026-02-19")
