"""The work of `benchmarks.engines` in Polars, written by hand, streaming where that has the operation."""

from __future__ import annotations

from datetime import date

import polars as pl

from pipeline.lake.table import LakeSnapshot

Count = tuple[date, str, float]

STEPS = {
    "app_opened": 1, "tab_opened": 1, "workouts_default_loaded": 2, "workout_started": 2, "exercise_logged": 3,
    "session_submitted": 4, "achievement_unlocked": 5,
}  # fmt: skip
DAY_US = 86_400_000_000
NEVER = 2**62
AT = pl.col("occurred_at").dt.timestamp("us").alias("at")
DAY = pl.col("occurred_at").dt.date().alias("day")


def daily(snapshot: LakeSnapshot) -> list[Count]:
    """Users, events by name, and lag."""
    events = _events(snapshot, "tenant_id", "occurred_at", "received_at", "event_name", "anonymous_user_id")
    lag = (pl.col("received_at").dt.timestamp("us") - AT).clip(lower_bound=0)
    days = events.group_by(DAY, "tenant_id").agg(
        pl.col("anonymous_user_id").n_unique().alias("users"),
        lag.quantile(0.5, "linear").alias("p50"),
        lag.quantile(0.95, "linear").alias("p95"),
    )
    names = events.group_by(DAY, "tenant_id", "event_name").agg(pl.len())
    found, volume = pl.collect_all([days, names], engine="streaming")
    counts: list[Count] = [(day, f"{tenant} {name}", events) for day, tenant, name, events in volume.iter_rows()]
    for day, tenant, users, p50, p95 in found.iter_rows():
        counts += [(day, f"{tenant} users", users), (day, f"{tenant} p50", p50), (day, f"{tenant} p95", p95)]
    return counts


def first_seen(snapshot: LakeSnapshot) -> list[Count]:
    """New users, and the rate of those who submitted a session within 24 hours."""
    submitted = pl.col("occurred_at").filter(pl.col("event_name") == "session_submitted").min().alias("submitted")
    people = (
        _events(snapshot, "tenant_id", "occurred_at", "event_name", "anonymous_user_id")
        .filter(pl.col("anonymous_user_id") != "")
        .group_by("tenant_id", "anonymous_user_id")
        .agg(pl.col("occurred_at").min().alias("first"), submitted)
    )
    converted = (pl.col("submitted") <= pl.col("first") + pl.duration(hours=24)).fill_null(value=False)
    found = people.group_by(pl.col("first").dt.date().alias("day"), "tenant_id").agg(
        pl.len(), converted.mean().alias("rate")
    )
    counts: list[Count] = []
    for day, tenant, users, rate in found.collect(engine="streaming").iter_rows():
        counts += [(day, f"{tenant} new_users", users), (day, f"{tenant} logging_rate_24h", rate)]
    return counts


def funnel(snapshot: LakeSnapshot) -> list[Count]:
    """Users and medians of the steps: from each event on, the first of the next step that follows, carried backwards.

    What is carried over from the next person, whose events come next, is taken away again: that is quicker than groups.
    """
    step = pl.col("event_name").replace_strict(STEPS, default=None, return_dtype=pl.Int8).alias("step")
    events = (
        _events(snapshot, "tenant_id", "occurred_at", "event_name", "anonymous_user_id", "experiment_map")
        .filter(pl.col("event_name").is_in(list(STEPS)) & (pl.col("anonymous_user_id") != ""))
        .select(
            pl.col("tenant_id").cast(pl.Categorical),
            (pl.col("anonymous_user_id").hash() ^ pl.col("tenant_id").hash(1)).alias("person"),
            step,
            AT,
            pl.col("experiment_map").map.get("landing").alias("variant"),
        )
        .collect(engine="streaming")
        .sort("person", "at", "step")
    )
    for number in range(5, 1, -1):
        here = pl.col("step") == number
        later = [f"a{reached}" for reached in range(number + 1, 6)]
        events = events.with_columns(
            pl.when(here).then("person").backward_fill().alias("whose"),
            pl.when(here).then("at").backward_fill().alias(f"a{number}"),
            *(pl.when(here).then(pl.col(name).fill_null(NEVER)).backward_fill() for name in later),
        ).with_columns(
            pl.when((pl.col("whose") == pl.col("person")) & (pl.col(name) < NEVER)).then(name)
            for name in [f"a{number}", *later]
        )
    return _count(events.lazy().filter(pl.col("step") == 1))


def _count(chains: pl.LazyFrame) -> list[Count]:
    """Count the furthest chain of each person, day and variant, and of each person and day."""
    depth = pl.lit(1, pl.Int64)
    for number in range(2, 6):
        depth = pl.when(pl.col(f"a{number}") - pl.col("at") <= DAY_US).then(pl.lit(number, pl.Int64)).otherwise(depth)
    columns = ["at", "a2", "a3", "a4", "a5", "rank"]
    furthest = pl.col(columns).get(pl.col("rank").arg_max())
    cells = ["tenant_id", "person", pl.col("at").floordiv(DAY_US).alias("day")]
    by_variant = (
        chains.with_columns((depth * DAY_US + pl.col("at") % DAY_US).alias("rank"))
        .group_by(*cells, "variant")
        .agg(furthest)
    )
    overall = by_variant.group_by("tenant_id", "person", "day").agg(furthest)
    counted = [
        by_variant.filter(pl.col("variant").is_not_null()).with_columns(
            ("landing:" + pl.col("variant")).alias("variant")
        ),
        overall.with_columns(pl.lit("overall").alias("variant")),
    ]
    reached = [pl.col("rank") >= number * DAY_US for number in range(6)]
    gaps = [(pl.col(f"a{number}") - pl.col("at" if number == 2 else f"a{number - 1}")) for number in range(2, 6)]
    frames = [
        chosen.group_by("tenant_id", "day", "variant").agg(
            *(reached[number].sum().alias(f"users {number}") for number in range(1, 6)),
            *(gap.filter(reached[number]).median().alias(f"median {number}") for number, gap in enumerate(gaps, 2)),
        )
        for chosen in counted
    ]
    counts: list[Count] = []
    for frame in pl.collect_all(frames, engine="streaming"):
        for row in frame.iter_rows(named=True):
            day = date.fromordinal(date(1970, 1, 1).toordinal() + row["day"])
            for number in range(1, 6):
                name = f"{row['tenant_id']} {row['variant']} {number}"
                users, median = row[f"users {number}"], row.get(f"median {number}")
                counts += [(day, f"{name} users", users)] if users else []
                counts += [] if median is None else [(day, f"{name} median", median / 1e6)]
    return counts


def _events(snapshot: LakeSnapshot, *columns: str) -> pl.LazyFrame:
    return pl.scan_parquet(snapshot.paths()).select(columns)
