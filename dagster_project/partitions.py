"""The days: one partitions definition for every asset, and how partition keys become days and windows."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

import dagster as dg

from pipeline.rollups.jobs import Window

FIRST_DAY = date(2024, 1, 1)

# One object for all assets: backfills split into several runs when assets start on different days.
# end_offset=1 makes the day that is still open a partition, so that today's numbers can be computed.
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)


def days_of(keys: Iterable[str]) -> list[date]:
    """Return the UTC days of partition keys, ascending and without repetition."""
    return sorted({date.fromisoformat(key) for key in keys})


def windows_of(days: Iterable[date]) -> list[Window]:
    """Return the unbroken windows that hold exactly these days, ascending."""
    windows: list[Window] = []
    for day in sorted(set(days)):
        if windows and day == windows[-1].last + timedelta(days=1):
            windows[-1] = Window(windows[-1].first, day)
        else:
            windows.append(Window(day, day))
    return windows


def range_tags(first: date, last: date) -> dict[str, str]:
    """Return the run tags that make one run materialize the days from `first` to `last`, both included."""
    return {
        "dagster/asset_partition_range_start": first.isoformat(),
        "dagster/asset_partition_range_end": last.isoformat(),
    }
