"""GET /retention: how many new users come back, by the day they were first seen, for everyone and by variant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.asking import ask
from api.dashboard.charts.bar import bar
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.variant_choice import Experiment, chosen_name, read_choices
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError
from api.metrics.queries import read_retention

Row = Mapping[str, Any]
# The share from which a cell has the last of ten steps of color: retention is rarely higher.
FULL_HEAT = 0.6
# Beside variants, everyone together is no variant, and not in the grey of the control.
EVERYONE_COLOR = 7

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class Pooled:
    """Retention of a group after so many days, over the cohorts that are complete; rate None without such a cohort."""

    days_after: int
    cohorts: int
    cohort_size: int
    retained: int

    @property
    def rate(self) -> float | None:
        """The share that came back."""
        return self.retained / self.cohort_size if self.cohort_size else None


@dataclass(frozen=True)
class Group:
    """Everyone or a variant: its label, color, pooled retention with a bar for each period."""

    label: str
    color: int
    variant_id: str | None
    periods: Sequence[tuple[Pooled, Markup, str]]


@router.get("/retention")
async def retention(request: Request) -> Response:
    """Show the triangle of one group: `by` (an experiment), `variant` (one of its variants)."""
    visit = visit_of(request)
    by, variant = chosen_name(request, "by"), chosen_name(request, "variant")

    async def read(connection: AsyncConnection) -> tuple[Sequence[Row], Sequence[Experiment]]:
        found = await read_retention(connection, visit.tenant_id, visit.window, by or "")
        return found["rows"], await read_choices(connection, visit.tenant_id)

    rows, choices = await visit.read(read)
    experiment = next((choice for choice in choices if choice.experiment_id == by), None)
    if by and experiment is None:
        raise ApiError(404, "There is no such experiment.")
    if variant and (experiment is None or variant not in experiment.variants):
        raise ApiError(404, "There is no such variant.")
    group = (experiment.experiment_id, variant) if experiment is not None and variant else None
    return visit.page(
        "retention.html",
        title="Retention",
        tables=(triangle(rows, group, visit.window.last), pooled_table(visit, rows, experiment)),
        has_data=bool(rows),
        choices=choices,
        experiment=experiment,
        variant=variant,
        groups=_groups(visit, rows, experiment),
    )


def pooled(rows: Iterable[Row], group: tuple[str, str] | None) -> list[Pooled]:
    """Return a group's retention over the complete cohorts of the window, by period."""
    periods: dict[int, list[Row]] = {}
    for row in rows:
        if _group(row) == group:
            periods.setdefault(row["days_after"], [])
            if row["complete"]:
                periods[row["days_after"]].append(row)
    return [
        Pooled(
            days_after,
            sum(1 for row in found if row["cohort_size"]),
            sum(row["cohort_size"] for row in found),
            sum(row["retained_users"] for row in found),
        )
        for days_after, found in sorted(periods.items())
    ]


def triangle(rows: Iterable[Row], group: tuple[str, str] | None, today: date) -> Table:
    """Return a group's cohorts, the last day first: size, and the share that came back after each period.

    A cell that is not complete is marked, and can still grow; it has no number while its later day has not come.
    """
    own = [row for row in rows if _group(row) == group]
    periods = sorted({row["days_after"] for row in own})
    cohorts: dict[str, dict[int, Row]] = {}
    for row in own:
        cohorts.setdefault(row["day"], {})[row["days_after"]] = row
    columns = [
        Column("day", "First seen (UTC)", "day"),
        Column("cohort_size", "New users", "count", "cohort_size"),
        *(Column(f"day_{period}", f"Day {period}", "share", "retention_rate") for period in periods),
    ]
    table_rows = []
    for day, found in sorted(cohorts.items(), reverse=True):
        first = next(iter(found.values()))
        place = {"experiment": first["experiment_id"], "variant": first["variant_id"], "day": day}
        size = first["cohort_size"]
        cells = [Cell(day), Cell(size, ask("cohort_size", days_after=first["days_after"], **place))]
        cells += [_cell(found.get(period), period, place, today) for period in periods]
        table_rows.append(cells)
    return Table("triangle", "Cohorts", columns, table_rows)


def pooled_table(visit: Visit, rows: Sequence[Row], experiment: Experiment | None) -> Table:
    """Return the retention of every group, pooled over its complete cohorts."""
    columns = (
        Column("variant", "Variant"),
        Column("days_after", "Days after", "count"),
        Column("rate", "Retention", "share", "retention_pooled"),
        Column("retained", "Came back", "count", "retained_users"),
        Column("cohort_size", "Of new users", "count", "cohort_size"),
        Column("cohorts", "Cohorts", "count"),
    )
    table_rows = [
        [
            Cell(group.label),
            Cell(found.days_after),
            Cell(found.rate, place, of=found.cohort_size),
            Cell(found.retained, place),
            Cell(found.cohort_size, place),
            Cell(found.cohorts, place),
        ]
        for group in _groups(visit, rows, experiment)
        for found, _, place in group.periods
    ]
    return Table("pooled", "Retention of the window", columns, table_rows)


def heat(rate: float) -> int:
    """Return the step of color, 0 to 9, for a share."""
    return min(int(rate / FULL_HEAT * 10), 9)


def _groups(visit: Visit, rows: Sequence[Row], experiment: Experiment | None) -> list[Group]:
    everyone: list[tuple[str | None, str, int]] = [(None, "Everyone", 1)]
    if experiment is not None:
        everyone = [(None, "Everyone", EVERYONE_COLOR)]
        everyone += [
            (variant_id, f"{variant_id} {experiment.variants[variant_id]}".strip(), experiment.colors[variant_id])
            for variant_id in experiment.ordered()
        ]
    groups = []
    for variant_id, label, color in everyone:
        of = experiment.experiment_id if experiment is not None and variant_id is not None else None
        found = pooled(rows, (of, variant_id) if of is not None and variant_id is not None else None)
        periods = [
            (
                period,
                bar(period.rate or 0.0, color=color),
                ask(
                    "retention_pooled",
                    days=visit.window.days,
                    days_after=period.days_after,
                    experiment=of,
                    variant=variant_id,
                ),
            )
            for period in found
        ]
        if periods:
            groups.append(Group(label, color, variant_id, periods))
    return groups


def _cell(row: Row | None, period: int, place: Mapping[str, Any], today: date) -> Cell:
    if row is None:
        return Cell(None)
    size = row["cohort_size"]
    source = ask("retention_rate", days_after=period, **place)
    note = f"{row['retained_users']} of {size}"
    if not row["complete"]:
        if date.fromisoformat(row["day"]) + timedelta(days=period) > today:
            return Cell(None, look="incomplete", note="that day has not come")
        return Cell(row["rate"], source, of=size, look="incomplete", note=f"{note}, not complete")
    if not size:
        return Cell(None, source, note="no new users")
    return Cell(row["rate"], source, of=size, look=f"heat-{heat(row['rate'])}", note=note)


def _group(row: Row) -> tuple[str, str] | None:
    return None if row["experiment_id"] is None else (row["experiment_id"], row["variant_id"])
