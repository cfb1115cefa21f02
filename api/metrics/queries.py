"""Reads published aggregates into the shapes of the metrics contract; each answer is one state of the database.

Every answer ends with the runs it shows and how fresh they are (`api.metrics.shown`). `variants_of` leaves out the rows
of variants, but for those of the experiment it names (none for ""); None leaves out nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

import msgspec
from psycopg import AsyncConnection

from api.metrics.shown import read_shown
from api.metrics.window import MetricsWindow
from pipeline.clock import day_start, iso_millis
from pipeline.statements import statement

VOLUME = "event_volume_by_name"
# Both in one message: Postgres takes several statements at once when none has parameters.
SNAPSHOT = ";\n".join(statement(name) for name in ("api/begin_snapshot", "api/plan_with_sorts"))
Json = dict[str, Any]


async def read_summary(connection: AsyncConnection, tenant_id: str, window: MetricsWindow) -> Json:
    """Return the summary's `metrics` in the contract's order: latest day overall, then rates per variant."""
    async with _snapshot(connection):
        rows = await _rows(connection, "api/summary_metrics", tenant_id, window)
        rates = await _rows(connection, "api/summary_rates", tenant_id, window)
        ids = [run_id for *_, run_ids in rows for run_id in run_ids or ()] + [run_id for *_, run_id in rates]
        shown = await read_shown(connection, ids)
    values = {name: (day, value) for day, name, value, _ in rows}
    dimensions: dict[str, Json] = {
        "logging_rate_24h": {"overall": True, "day": None, "window_days": window.days},
        "dau": {"day": None},
        "sessions_submitted_total": {"window_days": window.days},
        "ingestion_lag_p50": {"day": None, "unit": "seconds"},
        "ingestion_lag_p95": {"day": None, "unit": "seconds"},
    }
    metrics = [
        _metric(name, values[name][1], {**shape, **({"day": str(values[name][0])} if "day" in shape else {})})
        for name, shape in dimensions.items()
        if name in values
    ]
    metrics += [
        _metric(
            "logging_rate_24h",
            value,
            {
                "experiment_id": experiment_id,
                "variant_id": variant_id,
                "day": iso_millis(day_start(day)),
                "window_days": window.days,
            },
        )
        for experiment_id, variant_id, day, value, _ in rates
    ]
    return {"metrics": metrics, **shown}


async def read_days(connection: AsyncConnection, tenant_id: str, window: MetricsWindow) -> Json:
    """Return the daily metrics of each day that has any as `days`, ascending."""
    async with _snapshot(connection):
        ((written, run_ids),) = await _rows(connection, "api/daily_metrics", tenant_id, window)
        shown = await read_shown(connection, run_ids)
    days = [
        {"day": row["day"], "metrics": {VOLUME: _sorted(row["volumes"]), **_sorted(row["overall"])}}
        for row in msgspec.json.decode(written)
    ]
    return {"no_data": not days, "days": days, **shown}


async def read_experiments(
    connection: AsyncConnection, tenant_id: str, window: MetricsWindow, experiment_id: str | None
) -> Json:
    """Return the `experiments`, of any status, with their metrics in the window."""
    wanted = {"experiment_id": experiment_id}
    async with _snapshot(connection):
        experiments = await _rows(connection, "api/experiments", tenant_id, window, **wanted)
        metrics, shown = await _published_rows(connection, "api/experiment_metrics", tenant_id, window, **wanted)
    series: dict[str, list[Json]] = {}
    for row in metrics:
        series.setdefault(row.pop("experiment_id"), []).append(row)
    shaped = [_experiment(experiment, series.get(experiment[0], [])) for experiment in experiments]
    no_data = not any(experiment["series"] for experiment in shaped)
    return {"no_data": no_data, "experiments": shaped, **shown}


async def read_funnels(
    connection: AsyncConnection,
    tenant_id: str,
    window: MetricsWindow,
    funnel_name: str | None,
    variants_of: str | None = None,
) -> Json:
    """Return the funnel rows of the window as `rows`."""
    wanted = {"funnel_name": funnel_name, "variants_of": variants_of}
    async with _snapshot(connection):
        rows, shown = await _published_rows(connection, "api/funnel_rows", tenant_id, window, **wanted)
    return {"no_data": not rows, "rows": rows, **shown}


async def read_ordered_funnels(
    connection: AsyncConnection,
    tenant_id: str,
    window: MetricsWindow,
    funnel_name: str | None,
    variants_of: str | None = None,
) -> Json:
    """Return the rows of ordered funnels whose cohort day is in the window."""
    wanted = {"funnel_name": funnel_name, "variants_of": variants_of}
    async with _snapshot(connection):
        rows, shown = await _published_rows(connection, "api/ordered_funnel_rows", tenant_id, window, **wanted)
    return {"no_data": not rows, "rows": rows, **shown}


async def read_retention(
    connection: AsyncConnection, tenant_id: str, window: MetricsWindow, variants_of: str | None = None
) -> Json:
    """Return the retention rows whose cohort day is in the window."""
    async with _snapshot(connection):
        rows, shown = await _published_rows(
            connection, "api/retention_rows", tenant_id, window, variants_of=variants_of
        )
    return {"no_data": not rows, "rows": rows, **shown}


def number(value: float) -> float | int:
    """Return whole numbers as integers: clients that read counts as integers refuse `3.0`."""
    return int(value) if value.is_integer() else value


def _experiment(row: tuple[Any, ...], series: list[Json]) -> Json:
    experiment_id, status, start_at, end_at, targeting, variants = row
    latest = series[-1]["day"] if series else None
    latest_metrics: dict[str, Json] = {}
    for metric in series:
        if metric["day"] == latest:
            latest_metrics.setdefault(metric["variant_id"], {})[metric["metric_name"]] = metric["value"]
    return {
        "experiment_id": experiment_id,
        "status": status,
        "start_at": _time(start_at),
        "end_at": _time(end_at),
        "targeting": targeting,
        "variants": variants,
        "latest_day": iso_millis(day_start(date.fromisoformat(latest))) if latest else None,
        "latest_metrics_by_variant": latest_metrics,
        "series": series,
    }


def _metric(name: str, value: float, dimensions: Json) -> Json:
    return {"metric_name": name, "value": number(value), "dimensions": dimensions}


def _time(moment: datetime | None) -> str | None:
    return iso_millis(moment) if moment else None


@asynccontextmanager
async def _snapshot(connection: AsyncConnection) -> AsyncIterator[None]:
    async with connection.transaction():
        await connection.execute(SNAPSHOT, prepare=False)
        yield


async def _rows(
    connection: AsyncConnection, name: str, tenant_id: str, window: MetricsWindow, **parameters: str | None
) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(
        statement(name),
        {"tenant_id": tenant_id, "first_day": window.first, "last_day": window.last, **parameters},
    )
    return await cursor.fetchall()


def _sorted(values: Json | None) -> Json:
    return dict(sorted((values or {}).items()))


async def _published_rows(
    connection: AsyncConnection, name: str, tenant_id: str, window: MetricsWindow, **parameters: str | None
) -> tuple[list[Json], Json]:
    """Return published rows, and which runs they are of.

    They come as columns, a list in JSON each: that takes half the time of reading thousands of rows.
    """
    ((written, run_ids),) = await _rows(connection, name, tenant_id, window, **parameters)
    columns: dict[str, list[Any] | None] = msgspec.json.decode(written)
    names, values = tuple(columns), (column or () for column in columns.values())
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    return rows, await read_shown(connection, run_ids or ())
