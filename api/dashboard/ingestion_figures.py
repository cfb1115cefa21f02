"""Figures of ingestion: the ledger by day and its balance, and how late events come.

Pure functions over rows of dashboard/ledger_days and dashboard/arrivals. Days are UTC: the ledger's are days of
receipt, lateness is by the day of the event.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from markupsafe import Markup

from api.dashboard import formats
from api.dashboard.asking import ask
from api.dashboard.charts.heat_map import heat_map
from api.dashboard.charts.time_series import Series, TimeSeries
from api.dashboard.figures import DailyValues, window_days
from api.dashboard.tables import Cell, Column, Table
from api.metrics.window import MetricsWindow
from pipeline.rollups.metric_catalogue import entry

# Days from event to receipt, from the first to the last of each; None: as late as it gets.
DELAYS: Sequence[tuple[str, str, int, int | None]] = (
    ("ahead", "Before its day", -100_000, -1),
    ("same_day", "Same day", 0, 0),
    ("next_day", "Next day", 1, 1),
    ("two_to_three", "2 to 3 days", 2, 3),
    ("four_to_seven", "4 to 7 days", 4, 7),
    ("later", "Later", 8, None),
)
MAX_HEAT_DAYS = 28


@dataclass(frozen=True)
class LedgerDay:
    """One UTC day of receipt: what came and what became of it; `in_lake` of it the lake has, `erased` is gone again."""

    day: date
    received: int
    stored: int
    duplicate: int
    rejected: int
    letters: int
    replayed: int
    dropped: int
    not_kept: int
    erased: int
    in_lake: int

    @property
    def waiting(self) -> int:
        """Stored events that the lake does not have: the next refresh takes them. Negative: something is wrong."""
        return self.stored - self.erased - self.in_lake

    @property
    def lost(self) -> int:
        """Events received that no account explains, and refused ones that no letter explains: 0 if all is well."""
        received = abs(self.received - self.stored - self.duplicate - self.rejected)
        refused = abs(self.rejected - self.letters - self.replayed - self.dropped - self.not_kept)
        return received + refused

    @property
    def is_balanced(self) -> bool:
        """Whether everything received is accounted for; what waits for the lake is."""
        return self.lost == 0 and self.waiting >= 0


Arrival = tuple[date, date, int]


def ledger_chart(days: Sequence[LedgerDay], window: MetricsWindow) -> TimeSeries:
    """Return stored, duplicate and rejected events by day of receipt."""
    by_day = {row.day: row for row in days}
    first = min(by_day, default=window.last)

    def values(name: str) -> list[float | None]:
        return [
            float(getattr(by_day[day], name)) if day in by_day else (0.0 if day >= first else None)
            for day in window_days(window)
        ]

    return TimeSeries(
        "Events by what became of them, by day of receipt",
        window_days(window),
        (
            Series("Stored", values("stored"), 1),
            Series("Duplicate", values("duplicate"), 2),
            Series("Rejected", values("rejected"), 5),
        ),
        partial=1,
    )


def ledger_table(days: Sequence[LedgerDay], window: MetricsWindow) -> Table:
    """Return the ledger by day, the last day first, with its balance.

    What is a part of another count leads to the panel of that: received and what became of the stored to events stored.
    """
    stored, rejected = (ask(name, days=window.days) for name in ("events_stored", "events_rejected"))
    columns = (
        Column("day", "Received (UTC)", "day"),
        Column("received", "Received", "count"),
        Column("stored", "Stored", "count", "events_stored"),
        Column("duplicate", "Duplicate", "count", "events_duplicate"),
        Column("rejected", "Rejected", "count", "events_rejected"),
        Column("letters", "as letters", "count"),
        Column("replayed", "replayed", "count"),
        Column("dropped", "dropped", "count"),
        Column("not_kept", "not kept", "count"),
        Column("in_lake", "In the lake", "count", "arrivals"),
        Column("erased", "Erased", "count"),
        Column("waiting", "Waiting", "count"),
        Column("balance", "Balance"),
    )
    rows = [
        [
            Cell(row.day),
            Cell(row.received, stored),
            Cell(row.stored, stored),
            Cell(row.duplicate, ask("events_duplicate", days=window.days)),
            *(Cell(part, rejected) for part in (row.rejected, row.letters, row.replayed, row.dropped, row.not_kept)),
            Cell(row.in_lake, ask("arrivals", days=window.days)),
            Cell(row.erased, stored),
            Cell(row.waiting, stored),
            Cell("balanced", look="ok") if row.is_balanced else Cell("not balanced", look="wrong-cell"),
        ]
        for row in reversed(days)
    ]
    return Table("ledger", "The ledger, by day of receipt", columns, rows)


def lag_chart(values: DailyValues) -> TimeSeries:
    """Return the published percentiles of the lag by day of event; a lag of 0 stands for a day without events."""

    def known(name: str) -> list[float | None]:
        return [value or None for value in values.trend(name)]

    return TimeSeries(
        "From event to receipt, by day of event",
        window_days(values.window),
        (
            Series("Median", known("ingestion_lag_p50"), 1),
            Series("95th percentile", known("ingestion_lag_p95"), 5),
        ),
        kind="seconds",
        partial=1,
    )


def lag_table(values: DailyValues) -> Table:
    """Return the percentiles of the lag by day, the last day first."""
    names = ("ingestion_lag_p50", "ingestion_lag_p95")
    columns = [Column("day", "Day (UTC)", "day"), *(Column(name, entry(name).label, "seconds", name) for name in names)]
    rows = []
    for day in reversed(window_days(values.window)):
        published = values.days.get(day, {})
        asked = [ask(name, day=day) if name in published else None for name in names]
        rows.append(
            [Cell(day), *(Cell(published.get(name), source) for name, source in zip(names, asked, strict=True))]
        )
    return Table("lag", "Ingestion lag", columns, rows)


def lateness_map(arrivals: Sequence[Arrival], window: MetricsWindow) -> Markup | None:
    """Draw the day of event against the day of receipt, over the last four weeks of the window at most."""
    days = window_days(window)[-MAX_HEAT_DAYS:]
    places = {day: number for number, day in enumerate(days)}
    values = {
        (places[occurred], places[received]): float(events)
        for occurred, received, events in arrivals
        if occurred in places and received in places
    }
    if not values:
        return None
    labels = [f"{day.day} {day:%b}" for day in days]
    return heat_map(labels, labels, values, "Events by the day they happened (down) and the day they were received")


def lateness_table(arrivals: Sequence[Arrival], window: MetricsWindow) -> Table:
    """Return how late the events of each day came, the last day first; cells are colored by their share of the day."""
    by_day: dict[date, dict[str, int]] = {}
    for occurred, received, events in arrivals:
        found = by_day.setdefault(occurred, {})
        name = delay((received - occurred).days)
        found[name] = found.get(name, 0) + events
    columns = [Column("day", "Happened (UTC)", "day"), Column("events", "Events", "count", "arrivals")]
    columns += [Column(name, label, "count") for name, label, _, _ in DELAYS]
    source = ask("arrivals", days=window.days)
    rows = []
    for day, found in sorted(by_day.items(), reverse=True):
        total = sum(found.values())
        rows.append(
            [
                Cell(day),
                Cell(total, source),
                *(Cell(found.get(name, 0), source, note=_share(found.get(name, 0), total)) for name, _, _, _ in DELAYS),
            ]
        )
    return Table("lateness", "How late the events of each day came", columns, rows)


def delay(days: int) -> str:
    """Return the name of the column for an event received so many UTC days after it happened."""
    return next(name for name, _, first, last in DELAYS if first <= days and (last is None or days <= last))


def volume_table(values: DailyValues) -> Table:
    """Return the published events of the window by name, the most frequent first."""
    columns = (
        Column("event_name", "Event"),
        Column("events", "Events", "count", "events_total"),
        Column("share", "Share", "share"),
        Column("today", "Today so far", "count", "event_volume_by_name"),
    )
    volumes = values.volumes()
    total = sum(events for _, events, _, _ in volumes)
    rows = [
        [
            Cell(name),
            *(
                Cell(number, ask("events_total", days=values.window.days, dimension=name))
                for number in (events, events / total if total else None)
            ),
            Cell(today, ask("event_volume_by_name", day=values.window.last, dimension=name) if today else None),
        ]
        for name, events, _, today in volumes
    ]
    return Table("volume", "Events by name", columns, rows)


def _share(events: int, total: int) -> str:
    return formats.share(events / total, total) if events else ""
