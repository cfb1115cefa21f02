"""GET /funnels: how far people get, in order and in time, or by day in no order; for everyone and by variant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.asking import ask
from api.dashboard.charts.bar import bar
from api.dashboard.funnel_figures import FunnelFigures, Row, StepFigure, by_group, ordered_figures, unordered_figures
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.variant_choice import Experiment, chosen_name, read_choices
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError
from api.metrics.queries import read_funnels, read_ordered_funnels

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class Bar:
    """One group's bar of a step: its label and color, its figure, and where its users and its time come from."""

    label: str
    color: int
    figure: StepFigure
    drawing: Markup
    ask: str
    ask_time: str


@dataclass(frozen=True)
class Step:
    """A step with a bar for each group; the first is everyone's unless variants are compared."""

    number: int
    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class _Read:
    """What the page was made from: whether it follows the order, ordered rows, rows per day, and the experiments."""

    in_order: bool
    ordered: Sequence[Row]
    daily: Sequence[Row]
    choices: Sequence[Experiment]


@router.get("/funnels")
async def funnels(request: Request) -> Response:
    """Show one funnel: `funnel`, `order` (no: by day), `by` (an experiment)."""
    visit = visit_of(request)
    wanted, by = chosen_name(request, "funnel"), chosen_name(request, "by")
    found = await visit.read(lambda connection: _read(connection, visit, wanted, by or ""))
    experiment = next((choice for choice in found.choices if choice.experiment_id == by), None)
    if by and experiment is None:
        raise ApiError(404, "There is no such experiment.")
    names = list(dict.fromkeys(row["funnel_name"] for row in (*found.ordered, *found.daily)))
    funnel = wanted or (names[0] if names else "")
    if wanted and wanted not in names:
        raise ApiError(404, "Nothing is published for this funnel in the window.")
    in_order = found.in_order
    figures = funnel_figures(found.ordered, found.daily, funnel, experiment, in_order=in_order)
    steps = funnel_steps(visit, figures, funnel, experiment, in_order=in_order)
    tables = [summary_table(visit, figures, funnel, experiment, in_order=in_order)]
    # Thousands of rows with many variants: only for who asks.
    if "days" in (request.query_params.get("show"), request.query_params.get("csv")):
        tables.append(days_table(found.ordered if in_order else found.daily, funnel, in_order=in_order))
    return visit.page(
        "funnels.html",
        title="Funnels",
        tables=tables,
        names=names,
        funnel=funnel,
        in_order=in_order,
        has_order=any(row["funnel_name"] == funnel for row in found.ordered),
        choices=found.choices,
        experiment=experiment,
        steps=steps,
        figures=figures,
        window_seconds=next((row["window_seconds"] for row in found.ordered if row["funnel_name"] == funnel), None),
    )


def funnel_figures(
    ordered: Sequence[Row], daily: Sequence[Row], funnel: str, experiment: Experiment | None, *, in_order: bool
) -> list[FunnelFigures]:
    """Return the funnel of everyone, and of each variant of an experiment that has rows, the control first."""
    groups: list[tuple[str, str] | None] = [None]
    if experiment is not None:
        groups += [(experiment.experiment_id, variant_id) for variant_id in experiment.ordered()]
    order = step_order(ordered, funnel)
    rows = by_group(ordered if in_order else daily, funnel)
    figures = [
        ordered_figures(rows.get(group, ()), group)
        if in_order
        else unordered_figures(rows.get(group, ()), group, order)
        for group in groups
    ]
    return [found for found in figures if found.steps]


def step_order(ordered: Sequence[Row], funnel: str) -> list[str]:
    """Return the names of a funnel's steps in their order, as far as it is followed in order."""
    numbers = {row["step_name"]: row["step_number"] for row in ordered if row["funnel_name"] == funnel}
    return sorted(numbers, key=lambda name: numbers[name])


def summary_table(
    visit: Visit, figures: Sequence[FunnelFigures], funnel: str, experiment: Experiment | None, *, in_order: bool
) -> Table:
    """Return the page's figures as a table: one row for each group and step."""
    metric = "funnel_users_total" if in_order else "step_users_total"
    columns = [
        Column("step", "Step"),
        Column("variant", "Variant"),
        Column("users", "Users", "count", metric),
        Column("share_of_first", "Of the first step", "share"),
    ]
    if in_order:
        columns += [
            Column("lost", "Lost since the step before", "count"),
            Column("lost_share", "Share lost", "share"),
            Column("seconds", "Time since the step before", "seconds", "step_median_seconds"),
        ]
    else:
        columns.append(Column("events", "Events", "count", "events_count"))
    rows = []
    for found in figures:
        before = None
        for step in found.steps:
            source = _ask(visit, metric, (funnel, step.step), found.variant_id, experiment)
            cells = [
                Cell(step.step),
                Cell(_label(found.variant_id, experiment)),
                Cell(step.users, source),
                Cell(step.of_first, source, of=found.steps[0].users),
            ]
            if in_order:
                lost = source if step.lost is not None else None
                time = _ask(visit, "step_median_seconds", (funnel, step.step), found.variant_id, experiment)
                cells += [Cell(step.lost, lost), Cell(step.lost_share, lost, of=before)]
                cells.append(Cell(step.seconds, time if step.seconds is not None else None))
            else:
                cells.append(Cell(step.events, source))
            rows.append(cells)
            before = step.users
    return Table("funnel", "Steps", columns, rows)


def days_table(rows: Sequence[Row], funnel: str, *, in_order: bool) -> Table:
    """Return the published rows behind the figures, the last day first."""
    metric = "ordered_users_count" if in_order else "users_count"
    columns = [
        Column("day", "Day of entry (UTC)" if in_order else "Day (UTC)", "day"),
        Column("step", "Step"),
        Column("variant", "Variant"),
        Column("users", "Users", "count", metric),
    ]
    columns.append(
        Column("median_seconds", "Time since the step before", "seconds", "median_seconds")
        if in_order
        else Column("events", "Events", "count", "events_count")
    )
    table_rows = []
    for row in sorted((row for row in rows if row["funnel_name"] == funnel), key=lambda row: row["day"], reverse=True):
        is_open = in_order and not row["complete"]
        place = {
            "day": row["day"],
            "funnel": funnel,
            "step": row["step_name"],
            "experiment": row["experiment_id"],
            "variant": row["variant_id"],
        }
        second = "median_seconds" if in_order else "events_count"
        table_rows.append(
            [
                Cell(row["day"]),
                Cell(row["step_name"]),
                Cell(row["variant_id"] or "Everyone"),
                Cell(
                    row["users_count"],
                    ask(metric, **place),
                    look="incomplete" if is_open else "",
                    note="not complete" if is_open else "",
                ),
                Cell(row[second], ask(second, **place) if row[second] is not None else None),
            ]
        )
    return Table("days", "By day", columns, table_rows)


async def _read(connection: AsyncConnection, visit: Visit, wanted: str | None, by: str) -> _Read:
    ordered = (await read_ordered_funnels(connection, visit.tenant_id, visit.window, None, by))["rows"]
    names = {row["funnel_name"] for row in ordered}
    in_order = visit.request.query_params.get("order") != "no" and (wanted in names if wanted else bool(names))
    # Beside a funnel in order, rows by day only tell which other funnels there are: those of everyone do.
    daily = await read_funnels(connection, visit.tenant_id, visit.window, None, "" if in_order else by)
    return _Read(in_order, ordered, daily["rows"], await read_choices(connection, visit.tenant_id))


def funnel_steps(
    visit: Visit, figures: Sequence[FunnelFigures], funnel: str, experiment: Experiment | None, *, in_order: bool
) -> list[Step]:
    """Return the steps with a bar for everyone, or of an experiment one for each variant that has figures."""
    shown = figures if experiment is None else figures[1:]
    metric = "funnel_users_total" if in_order else "step_users_total"
    names = [step.step for step in figures[0].steps] if figures else []
    steps = []
    for number, name in enumerate(names):
        bars = []
        for found in shown:
            figure = next((step for step in found.steps if step.step == name), None)
            if figure is None:
                continue
            most = max(step.users for step in found.steps) or 1
            before = figure.users + (figure.lost or 0)
            color = experiment.colors[found.variant_id or ""] if experiment is not None else 1
            ghost = before / most if in_order and number else None
            bars.append(
                Bar(
                    _label(found.variant_id, experiment),
                    color,
                    figure,
                    bar(figure.users / most, color=color, ghost=ghost),
                    _ask(visit, metric, (funnel, name), found.variant_id, experiment),
                    _ask(visit, "step_median_seconds", (funnel, name), found.variant_id, experiment),
                )
            )
        steps.append(Step(number + 1, name, bars))
    return steps


def _label(variant_id: str | None, experiment: Experiment | None) -> str:
    if variant_id is None or experiment is None:
        return "Everyone"
    return f"{variant_id} {experiment.variants.get(variant_id, '')}".strip()


def _ask(
    visit: Visit, metric: str, step: tuple[str, str], variant_id: str | None, experiment: Experiment | None
) -> str:
    place: dict[str, Any] = {"days": visit.window.days, "funnel": step[0], "step": step[1]}
    if variant_id is not None and experiment is not None:
        place |= {"experiment": experiment.experiment_id, "variant": variant_id}
    return ask(metric, **place)
