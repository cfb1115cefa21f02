"""What a derived figure is made of: the published numbers behind it, each with the address that explains it.

They are read by the same functions as the pages' figures.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date

from psycopg import AsyncConnection

from api.dashboard.asking import ask
from api.dashboard.figures import IMMATURE_DAYS, UNFINISHED_DAYS
from api.dashboard.kept_counts import PARTS as KEPT_PARTS
from api.dashboard.tables import Cell, Column, Table
from api.errors import InvalidRequestError
from api.metrics.queries import VOLUME, read_days, read_funnels, read_ordered_funnels, read_retention
from api.metrics.window import MetricsWindow


@dataclass(frozen=True)
class Of:
    """Which figure: the tenant, the window, and what its published numbers have beside the day."""

    tenant_id: str
    window: MetricsWindow
    dimension: str | None = None
    experiment: str | None = None
    variant: str | None = None
    funnel: str | None = None
    step: str | None = None
    days_after: int | None = None

    def is_group(self, row: dict[str, object]) -> bool:
        """Say whether a row is of the figure's group: everyone, or a variant."""
        return row["experiment_id"] == self.experiment and row["variant_id"] == self.variant


Parts = Callable[[AsyncConnection, Of], Awaitable[Table]]


async def read_parts(connection: AsyncConnection, metric: str, of: Of) -> Table:
    """Return the published numbers behind a derived figure, the last day first. Raises InvalidRequestError."""
    if metric not in _PARTS:
        raise InvalidRequestError("This metric is published by day: name a day.")
    return await _PARTS[metric](connection, of)


def _daily(names: Sequence[tuple[str, str]], unfinished: int) -> Parts:
    async def parts(connection: AsyncConnection, of: Of) -> Table:
        found = await read_days(connection, of.tenant_id, of.window)
        last = str(of.window.last)
        days = [row for row in found["days"] if _age(last, row["day"]) >= unfinished]
        rows = [
            [
                Cell(row["day"]),
                *(
                    Cell(row["metrics"].get(name), ask(name, day=row["day"]) if name in row["metrics"] else None)
                    for name, _ in names
                ),
            ]
            for row in reversed(days)
        ]
        return _table([Column("day", "Day (UTC)", "day"), *(Column(name, name, kind) for name, kind in names)], rows)

    return parts


async def _volume(connection: AsyncConnection, of: Of) -> Table:
    if of.dimension is None:
        raise InvalidRequestError("Name the event: dimension.")
    found = await read_days(connection, of.tenant_id, of.window)
    rows = [
        [
            Cell(row["day"]),
            Cell(row["metrics"][VOLUME][of.dimension], ask(VOLUME, day=row["day"], dimension=of.dimension)),
        ]
        for row in reversed(found["days"])
        if of.dimension in row["metrics"][VOLUME]
    ]
    return _table([Column("day", "Day (UTC)", "day"), Column("events", "Events", "count")], rows)


async def _ordered(connection: AsyncConnection, of: Of) -> Table:
    found = await read_ordered_funnels(connection, of.tenant_id, of.window, of.funnel, of.experiment or "")
    own = [row for row in found["rows"] if row["step_name"] == of.step and of.is_group(row)]
    counted = [row for row in own if row["complete"]] or own
    rows = [
        [
            Cell(row["day"]),
            Cell(row["users_count"], _ask_step("ordered_users_count", of, row["day"])),
            Cell(row["median_seconds"], _ask_step("median_seconds", of, row["day"])),
        ]
        for row in reversed(counted)
    ]
    columns = [
        Column("day", "Day of entry (UTC)", "day"),
        Column("users", "Users", "count"),
        Column("median_seconds", "Time since the step before", "seconds"),
    ]
    return _table(columns, rows)


async def _by_day(connection: AsyncConnection, of: Of) -> Table:
    found = await read_funnels(connection, of.tenant_id, of.window, of.funnel, of.experiment or "")
    rows = [
        [
            Cell(row["day"]),
            Cell(row["users_count"], _ask_step("users_count", of, row["day"])),
            Cell(row["events_count"], _ask_step("events_count", of, row["day"])),
        ]
        for row in reversed(found["rows"])
        if row["step_name"] == of.step and of.is_group(row)
    ]
    columns = [
        Column("day", "Day (UTC)", "day"),
        Column("users", "Users", "count"),
        Column("events", "Events", "count"),
    ]
    return _table(columns, rows)


async def _retention(connection: AsyncConnection, of: Of) -> Table:
    found = await read_retention(connection, of.tenant_id, of.window, of.experiment or "")

    def source(metric: str, day: str) -> str:
        return ask(metric, day=day, experiment=of.experiment, variant=of.variant, days_after=of.days_after)

    rows = [
        [
            Cell(row["day"]),
            Cell(row["retained_users"], source("retained_users", row["day"])),
            Cell(row["cohort_size"], source("cohort_size", row["day"])),
        ]
        for row in reversed(found["rows"])
        if row["days_after"] == of.days_after and row["complete"] and of.is_group(row)
    ]
    columns = [
        Column("day", "First seen (UTC)", "day"),
        Column("retained", "Came back", "count"),
        Column("cohort_size", "Of new users", "count"),
    ]
    return _table(columns, rows)


def _ask_step(metric: str, of: Of, day: str) -> str:
    return ask(metric, day=day, funnel=of.funnel, step=of.step, experiment=of.experiment, variant=of.variant)


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
    return Table("parts", "The published numbers behind it", columns, rows)


def _age(last: str, day: str) -> int:
    return (date.fromisoformat(last) - date.fromisoformat(day)).days


_PARTS: dict[str, Parts] = {
    "dau_mean": _daily([("dau", "count")], UNFINISHED_DAYS),
    "new_users_total": _daily([("new_users", "count")], UNFINISHED_DAYS),
    "sessions_submitted_total": _daily([("sessions_submitted", "count")], UNFINISHED_DAYS),
    "logging_rate_24h_pooled": _daily([("logging_rate_24h", "share"), ("new_users", "count")], IMMATURE_DAYS),
    "ingestion_lag_p50_median": _daily([("ingestion_lag_p50", "seconds")], UNFINISHED_DAYS),
    "ingestion_lag_p95_median": _daily([("ingestion_lag_p95", "seconds")], UNFINISHED_DAYS),
    "events_total": _volume,
    "funnel_users_total": _ordered,
    "step_median_seconds": _ordered,
    "step_users_total": _by_day,
    "retention_pooled": _retention,
    **KEPT_PARTS,
}
