"""GET /overview: how things are, what changed, and whether to trust it, at one glance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard import formats
from api.dashboard.asking import ask
from api.dashboard.charts.sparkline import sparkline
from api.dashboard.charts.time_series import Series, TimeSeries
from api.dashboard.figures import DailyValues, Figure, daily_values, window_days
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.visit import visit_of
from api.metrics.queries import read_days
from pipeline.rollups.metric_catalogue import entry

TOP_EVENTS = 8
EVENT_COLUMNS = (
    Column("event_name", "Event"),
    Column("events", "Events", "count", "events_total"),
    Column("change", "Change", "change"),
    Column("today", "Today so far", "count", "event_volume_by_name"),
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class Card:
    """A figure with its words: `metric` is its catalogue entry, `daily` that of the published numbers behind it.

    `unit` stands beside the value, and is a figure of its own where `unit_metric` names its entry.
    """

    metric: str
    daily: str
    label: str
    figure: Figure
    value: str
    unit: str
    change: str
    latest_label: str
    latest: str
    latest_day: Any
    today: str
    sparkline: Markup
    unit_metric: str | None


@router.get("/overview")
async def overview(request: Request) -> Response:
    """Show the window's main figures with their trends, and the most frequent events."""
    visit = visit_of(request)
    found = await visit.read(lambda connection: read_days(connection, visit.tenant_id, visit.both_windows))
    values = daily_values(visit.window, found)
    events = every_event(values)
    return visit.page(
        "overview.html",
        title="Overview",
        tables=(top_events(events), daily_table(values), events),
        has_data=bool(found["days"]),
        cards=cards(values),
        activity=activity(values),
    )


def cards(values: DailyValues) -> Sequence[Card]:
    """Return the five figures of the overview."""
    rate = values.pooled_rate("logging_rate_24h", "new_users")
    users = values.users_behind("new_users")
    tail = values.median("ingestion_lag_p95").value
    return (
        _card("dau_mean", "dau", values, values.mean("dau"), formats.count, unit="a day"),
        _card("new_users_total", "new_users", values, values.total("new_users"), formats.count),
        _card(
            "sessions_submitted_total", "sessions_submitted", values, values.total("sessions_submitted"), formats.count
        ),
        _card(
            "logging_rate_24h_pooled",
            "logging_rate_24h",
            values,
            rate,
            lambda value: formats.share(value, users),
            unit=f"of {formats.count(users)}",
            unit_metric="logging_rate_24h_pooled",
        ),
        _card(
            "ingestion_lag_p50_median",
            "ingestion_lag_p50",
            values,
            values.median("ingestion_lag_p50"),
            formats.seconds,
            unit=f"p95 {formats.seconds(tail)}",
            unit_metric="ingestion_lag_p95_median",
        ),
    )


def activity(values: DailyValues) -> TimeSeries:
    """Return active and new users over the window."""
    return TimeSeries(
        "Active and new users",
        window_days(values.window),
        (
            Series(entry("dau").label, values.trend("dau"), 1),
            Series(entry("new_users").label, values.trend("new_users"), 2),
        ),
        partial=1,
    )


def every_event(values: DailyValues) -> Table:
    """Return all events of the window by name, the most frequent first."""
    window = values.window
    rows = [
        [
            Cell(event),
            Cell(total, ask("events_total", days=window.days, dimension=event)),
            Cell(total / before - 1, ask("events_total", days=window.days, dimension=event, change=True))
            if before
            else Cell(None),
            Cell(today, ask("event_volume_by_name", day=window.last, dimension=event) if today else None),
        ]
        for event, total, before, today in values.volumes()
    ]
    return Table("events", "Events by name", EVENT_COLUMNS, rows)


def top_events(events: Table) -> Table:
    """Return the first of all events, without those of today."""
    return Table("top_events", "Top events", EVENT_COLUMNS[:-1], [row[:-1] for row in events.rows[:TOP_EVENTS]])


def daily_table(values: DailyValues) -> Table:
    """Return the daily numbers behind the cards and the chart, the last day first."""
    metrics = (("dau", "count"), ("new_users", "count"), ("sessions_submitted", "count"), ("logging_rate_24h", "share"),
               ("ingestion_lag_p50", "seconds"), ("ingestion_lag_p95", "seconds"))  # fmt: skip
    columns = [
        Column("day", "Day (UTC)", "day"),
        *(Column(name, entry(name).label, kind, name) for name, kind in metrics),
    ]
    rows = []
    for number, day in enumerate(reversed(window_days(values.window))):
        published = values.days.get(day, {})
        row = [Cell(day)]
        for name, kind in metrics:
            is_open = number < (2 if name == "logging_rate_24h" else 1) and name in published
            row.append(
                Cell(
                    published.get(name),
                    ask(name, day=day) if name in published else None,
                    of=published.get("new_users") if kind == "share" else None,
                    look="incomplete" if is_open else "",
                    note="not complete" if is_open else "",
                )
            )
        rows.append(row)
    return Table("daily", "Daily numbers", columns, rows)


def _card(
    metric: str,
    daily: str,
    values: DailyValues,
    figure: Figure,
    write: Callable[[float | None], str],
    *,
    unit: str = "",
    unit_metric: str | None = None,
) -> Card:
    is_share = entry(metric).unit == "share"
    skip = figure.partial
    latest_day = window_days(values.window)[-1 - skip]
    change = formats.points(figure.difference) if is_share else formats.change(figure.change)
    return Card(
        metric=metric,
        daily=daily,
        label=entry(daily).label,
        figure=figure,
        value=write(figure.value),
        unit=unit,
        change=change if (figure.difference if is_share else figure.change) is not None else "",
        latest_label="Yesterday" if skip == 1 else formats.day(latest_day),
        latest=write(figure.latest),
        latest_day=latest_day,
        today=write(figure.today),
        sparkline=sparkline(figure.trend, f"{entry(daily).label}, day by day", partial=skip),
        unit_metric=unit_metric,
    )
