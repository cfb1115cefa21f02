"""The work of `benchmarks.engines` in Polars, written by hand, streaming where that has the operation."""

from __future__ import annotations

from datetime import date
from typing import Any

import polars as pl

from pipeline.lake.table import LakeSnapshot

Count = tuple[date, str, float]

STEPS = {
    "app_opened": 1, "tab_opened": 1, "workouts_default_loaded": 2, "workout_started": 2, "exercise_logged": 3,
    "session_submitted": 4, "achievement_unlocked": 5,
}  # fmt: skip
DAY_US = 86_400_000_000
AT = pl.col("occurred_at").dt.timestamp("us").alias("at")
DAY = pl.col("occurred_at").dt.date().alias("day")


def daily(snapshot: LakeSnapshot) -> list[Count]:
    """Users, events by name, and lag."""
    events = _events(snapshot, "occurred_at", "received_at", "event_name", "anonymous_user_id")
    lag = (pl.col("received_at").dt.timestamp("us") - AT).clip(lower_bound=0)
    days = events.group_by(DAY).agg(
        pl.col("anonymous_user_id").n_unique().alias("users"),
        lag.quantile(0.5, "linear").alias("p50"),
        lag.quantile(0.95, "linear").alias("p95"),
    )
    names = events.group_by(DAY, pl.col("event_name")).agg(pl.len())
    found, volume = pl.collect_all([days, names], engine="streaming")
    counts: list[Count] = list(volume.iter_rows())
    for day, users, p50, p95 in found.iter_rows():
        counts += [(day, "users", users), (day, "p50", p50), (day, "p95", p95)]
    return counts


def first_seen(snapshot: LakeSnapshot) -> list[Count]:
    """New users, and who of them converted."""
    submitted = pl.col("occurred_at").filter(pl.col("event_name") == "session_submitted").min().alias("submitted")
    people = (
        _events(snapshot, "occurred_at", "event_name", "anonymous_user_id")
        .group_by("anonymous_user_id")
        .agg(pl.col("occurred_at").min().alias("first"), submitted)
    )
    converted = (pl.col("submitted") <= pl.col("first") + pl.duration(hours=24)).fill_null(value=False)
    found = people.group_by(pl.col("first").dt.date().alias("day")).agg(pl.len(), converted.sum().alias("converted"))
    rows = found.collect(engine="streaming").iter_rows()
    return [count for day, users, yes in rows for count in ((day, "new", users), (day, "converted", yes))]


def funnel(snapshot: LakeSnapshot) -> list[Count]:
    """Who got how far: from each event on, the first of the next step that follows, carried backwards."""
    step = pl.col("event_name").replace_strict(STEPS, default=None, return_dtype=pl.Int8).alias("step")
    events = (
        _events(snapshot, "occurred_at", "event_name", "anonymous_user_id")
        .select(pl.col("anonymous_user_id").hash().alias("person"), step, AT)
        .filter(pl.col("step").is_not_null())
        .collect(engine="streaming")
        .sort("person", "at", "step")
    )
    columns = [f"a{number}" for number in range(2, 6)]
    for number in range(5, 1, -1):
        carried = [
            pl.when(pl.col("step") == number).then(value).backward_fill().over("person").alias(name)
            for value, name in [(pl.col("at"), f"a{number}"), *((pl.col(name), name) for name in columns[number - 1 :])]
        ]
        events = events.with_columns(carried)
    deep = pl.lit(1, pl.Int8)
    for number, name in enumerate(columns, 2):
        deep = pl.when(pl.col(name) - pl.col("at") <= DAY_US).then(pl.lit(number, pl.Int8)).otherwise(deep)
    deepest = (
        events.lazy()
        .filter(pl.col("step") == 1)
        .group_by("person", (pl.col("at") // DAY_US).alias("day_number"))
        .agg(deep.max().alias("depth"))
        .group_by("day_number")
        .agg([(pl.col("depth") >= number).sum().alias(str(number)) for number in range(1, 6)])
        .collect(engine="streaming")
    )
    counts: list[Any] = []
    for day_number, *reached in deepest.iter_rows():
        day = date.fromordinal(date(1970, 1, 1).toordinal() + day_number)
        counts += [(day, str(number), users) for number, users in enumerate(reached, 1) if users]
    return counts


def _events(snapshot: LakeSnapshot, *columns: str) -> pl.LazyFrame:
    return pl.scan_parquet(snapshot.paths()).select(columns)
