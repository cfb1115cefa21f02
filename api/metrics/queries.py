"""Reads published aggregates into the shapes of the metrics contract; each answer is one state of the database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from typing import Any

from psycopg import AsyncConnection

from api.identifiers import DEFAULT_TENANT
from api.metrics.window import MetricsWindow
from pipeline.clock import day_start, iso_millis
from pipeline.statements import statement

VOLUME = "event_volume_by_name"
Json = dict[str, Any]


async def read_summary(connection: AsyncConnection, window: MetricsWindow) -> list[Json]:
    """Return the summary's metrics in the contract's order: latest day overall, then rates per variant."""
    async with _snapshot(connection):
        rows = await _rows(connection, "api/summary_metrics", window)
        rates = await _rows(connection, "api/summary_rates", window)
    values = {name: (day, value) for day, name, value in rows}
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
        for experiment_id, variant_id, day, value in rates
    ]
    return metrics


async def read_days(connection: AsyncConnection, window: MetricsWindow) -> list[Json]:
    """Return the daily metrics of each day that has any, ascending."""
    async with _snapshot(connection):
        rows = await _rows(connection, "api/daily_metrics", window)
    days: dict[date, Json] = {}
    for day, name, dimension, value in rows:
        metrics = days.setdefault(day, {VOLUME: {}})
        if name == VOLUME:
            metrics[VOLUME][dimension] = number(value)
        elif dimension == "overall":
            metrics[name] = number(value)
    return [{"day": str(day), "metrics": metrics} for day, metrics in days.items()]


async def read_experiments(connection: AsyncConnection, window: MetricsWindow, experiment_id: str | None) -> list[Json]:
    """Return the experiments, of any status, with their metrics in the window."""
    async with _snapshot(connection):
        experiments = await _rows(connection, "api/experiments", window, experiment_id=experiment_id)
        metrics = await _rows(connection, "api/experiment_metrics", window, experiment_id=experiment_id)
    series: dict[str, list[tuple[Any, ...]]] = {}
    for experiment, *row in metrics:
        series.setdefault(experiment, []).append(tuple(row))
    return [_experiment(experiment, series.get(experiment[0], [])) for experiment in experiments]


async def read_funnels(connection: AsyncConnection, window: MetricsWindow, funnel_name: str | None) -> list[Json]:
    """Return the funnel rows of the window."""
    names = ("day", "funnel_name", "step_name", "experiment_id", "variant_id", "users_count", "events_count")
    async with _snapshot(connection):
        rows = await _rows(connection, "api/funnel_rows", window, funnel_name=funnel_name)
    return [{**dict(zip(names, row, strict=True)), "day": str(row[0])} for row in rows]


def number(value: float) -> float | int:
    """Return whole numbers as integers: clients that read counts as integers refuse `3.0`."""
    return int(value) if value.is_integer() else value


def _experiment(row: tuple[Any, ...], series: list[tuple[Any, ...]]) -> Json:
    experiment_id, status, start_at, end_at, targeting, variants = row
    latest = max((day for day, *_ in series), default=None)
    latest_metrics: dict[str, Json] = {}
    for day, variant_id, name, value, _ in series:
        if day == latest:
            latest_metrics.setdefault(variant_id, {})[name] = number(value)
    return {
        "experiment_id": experiment_id,
        "status": status,
        "start_at": _time(start_at),
        "end_at": _time(end_at),
        "targeting": targeting,
        "variants": variants,
        "latest_day": iso_millis(day_start(latest)) if latest else None,
        "latest_metrics_by_variant": latest_metrics,
        "series": [
            {
                "day": str(day),
                "variant_id": variant_id,
                "metric_name": name,
                "value": number(value),
                "dimensions": dimensions,
            }
            for day, variant_id, name, value, dimensions in series
        ],
    }


def _metric(name: str, value: float, dimensions: Json) -> Json:
    return {"metric_name": name, "value": number(value), "dimensions": dimensions}


def _time(moment: datetime | None) -> str | None:
    return iso_millis(moment) if moment else None


@asynccontextmanager
async def _snapshot(connection: AsyncConnection) -> AsyncIterator[None]:
    async with connection.transaction():
        await connection.execute(statement("api/begin_snapshot"))
        yield


async def _rows(
    connection: AsyncConnection, name: str, window: MetricsWindow, **parameters: str | None
) -> list[tuple[Any, ...]]:
    cursor = await connection.execute(
        statement(name),
        {"tenant_id": DEFAULT_TENANT, "first_day": window.first, "last_day": window.last, **parameters},
    )
    return await cursor.fetchall()
