"""The work of `benchmarks.engines` as Tidemark's computation does it: the statements of sql/rollups, in its order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from pipeline.clock import day_start
from pipeline.engine import duckdb_engine, scratch_folder
from pipeline.lake.table import LakeSnapshot, stretches
from pipeline.rollups.funnel_cohorts import FunnelCohorts
from pipeline.rollups.funnels import read_funnels
from pipeline.settings import Settings
from pipeline.statements import statement

Count = tuple[date, str, float]
FUNNEL = "core_journey"


def daily(snapshot: LakeSnapshot) -> list[Count]:
    """Users, events by name, and lag."""
    with _engine() as engine:
        _run(engine, "rollups/create_daily_activity")
        _run(engine, "rollups/create_event_volume")
        for days in stretches(snapshot, snapshot.days()):
            _run(engine, "rollups/daily_activity", paths=snapshot.paths_of(days), **_validity(snapshot))
            _run(engine, "rollups/event_volume", paths=snapshot.paths_of(days), **_validity(snapshot))
        activity = engine.execute("SELECT day, tenant_id, users, lag_percentiles FROM daily_activity").fetchall()
        volume = engine.execute("SELECT day, tenant_id || ' ' || event_name, events FROM event_volume").fetchall()
    counts: list[Count] = list(volume)
    for day, tenant, users, lags in activity:
        counts += [(day, f"{tenant} users", users), (day, f"{tenant} p50", lags[0]), (day, f"{tenant} p95", lags[1])]
    return counts


def first_seen(snapshot: LakeSnapshot) -> list[Count]:
    """New users, and the share with a session within 24 hours."""
    window = (snapshot.days()[0], snapshot.days()[-1])
    with _engine() as engine:
        _run(
            engine, "rollups/new_users", paths=snapshot.paths(), **_validity(snapshot),
            window_start=day_start(window[0]), window_end=day_start(window[1] + timedelta(days=1)),
        )  # fmt: skip
        found = engine.execute(
            "SELECT day, tenant_id, count(*), count(*) FILTER (WHERE converted) FROM new_users GROUP BY day, tenant_id"
        ).fetchall()
    counts: list[Count] = []
    for day, tenant, users, converted in found:
        counts += [(day, f"{tenant} new_users", users), (day, f"{tenant} logging_rate_24h", converted / users)]
    return counts


def funnel(snapshot: LakeSnapshot) -> list[Count]:
    """Users and medians of the steps, overall and per variant; ours for any funnels of the configuration."""
    funnels = read_funnels(Settings().funnels)
    with _engine() as engine:
        engine.register("funnel_steps", funnels.table())

        def rows_of(days: Iterable[date]) -> int:
            return snapshot.rows_of(days)

        def run(name: str, **parameters: object) -> object:
            return _run(engine, name, **parameters)

        valid = _validity(snapshot)
        cohorts = FunnelCohorts(
            run, funnels, oldest=valid["oldest"], newest=valid["newest"], paths_of=snapshot.paths_of, rows_of=rows_of
        )
        for days in stretches(snapshot, snapshot.days()):
            cohorts.add(days)
        found = engine.execute(
            "SELECT day, concat_ws(' ', tenant_id, dimension_key, step_number), users_count, median_seconds"
            " FROM funnel_cohorts WHERE funnel_name = $funnel",
            {"funnel": FUNNEL},
        ).fetchall()
    counts: list[Count] = []
    for day, name, users, median in found:
        counts.append((day, f"{name} users", users))
        counts += [] if median is None else [(day, f"{name} median", median)]
    return counts


@contextmanager
def _engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory(prefix="tidemark-benchmark-") as folder:
        settings = Settings(home=Path(folder))
        with scratch_folder(settings) as scratch, duckdb_engine(settings, scratch) as engine:
            yield engine


def _run(engine: duckdb.DuckDBPyConnection, name: str, **parameters: object) -> list[tuple[Any, ...]]:
    return engine.execute(statement(name), parameters).fetchall()


def _validity(snapshot: LakeSnapshot) -> dict[str, datetime]:
    """Every event of the lake counts."""
    return {
        "oldest": day_start(snapshot.days()[0]),
        "newest": datetime.combine(snapshot.days()[-1] + timedelta(days=1), datetime.min.time(), UTC),
    }
