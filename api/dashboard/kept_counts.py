"""Counts that are kept as things happen, not published by a run: what the pages of experiments and ingestion show.

Each says where it comes from by the statement that reads it and the command that checks it. A new count needs an entry
in the catalogue, one in PARTS, and unless published numbers explain it, one in KEPT.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from psycopg import AsyncConnection

from api.dashboard.asking import ask
from api.dashboard.figures import IMMATURE_DAYS
from api.dashboard.tables import Cell, Column, Table
from api.errors import InvalidRequestError
from api.metrics.queries import read_experiments
from pipeline.statements import statement

if TYPE_CHECKING:
    from api.dashboard.derived import Of

Parts = Callable[[AsyncConnection, "Of"], Awaitable[Table]]
DAY = Column("day", "Day (UTC)", "day")
VARIANT = Column("variant", "Variant")
MOST_REASONS = 50
# The columns of dashboard/ledger_days after the day.
LEDGER = (
    "received", "stored", "duplicate", "rejected", "letters", "replayed", "dropped", "not_kept", "erased", "in_lake",
)  # fmt: skip


@dataclass(frozen=True)
class Kept:
    """Where a kept count is: the name of the statement that reads it, and the line that checks it."""

    source: str
    check: str

    @property
    def sql(self) -> str:
        """The statement."""
        return statement(self.source)


def kept(metric: str) -> Kept | None:
    """Return where a count is kept; None for what is derived from published numbers."""
    return KEPT.get(metric)


async def _assigned(connection: AsyncConnection, of: Of) -> Table:
    experiment = _experiment(of)
    rows = await _rows(connection, "dashboard/assigned_by_day", tenant_id=of.tenant_id, experiment_id=experiment)
    own = [
        [Cell(day), Cell(variant_id), Cell(users)]
        for variant_id, day, users in sorted(rows, key=lambda row: row[1], reverse=True)
        if of.variant in (None, variant_id)
    ]
    return _table("All days, the last first", (DAY, VARIANT, Column("users", "Users assigned", "count")), own)


async def _rates(connection: AsyncConnection, of: Of) -> Table:
    experiment = _experiment(of)
    found = await read_experiments(connection, of.tenant_id, of.window, experiment)
    name, last = "logging_rate_24h_by_variant", str(of.window.last - timedelta(days=IMMATURE_DAYS))
    rows = [
        [
            Cell(row["day"]),
            Cell(row["variant_id"]),
            Cell(row["value"], ask(name, day=row["day"], experiment=experiment, variant=row["variant_id"])),
            Cell((row["dimensions"] or {}).get("cohort_size")),
        ]
        for one in found["experiments"]
        for row in sorted(one["series"], key=lambda row: row["day"], reverse=True)
        if of.variant in (None, row["variant_id"]) and row["metric_name"] == name and row["day"] <= last
    ]
    columns = (DAY, VARIANT, Column("rate", "24 h logging", "share"), Column("cohort_size", "Of new users", "count"))
    return _table("The published numbers behind it", columns, rows)


async def _ledger(connection: AsyncConnection, of: Of) -> Table:
    rows = await _rows(connection, "dashboard/ledger_days", **_window(of))
    columns = (DAY, *(Column(name, name.replace("_", " ").capitalize(), "count") for name in LEDGER))
    return _table("Days of receipt", columns, [[Cell(value) for value in row] for row in reversed(rows)])


async def _arrivals(connection: AsyncConnection, of: Of) -> Table:
    rows = await _rows(connection, "dashboard/arrivals", **_window(of))
    columns = (
        Column("occurred_day", "Happened (UTC)", "day"),
        Column("received_day", "Received (UTC)", "day"),
        Column("events", "Events", "count"),
    )
    return _table("Days of event and of receipt", columns, [[Cell(value) for value in row] for row in reversed(rows)])


async def _lake(connection: AsyncConnection, of: Of) -> Table:
    rows = await _rows(connection, "dashboard/lake_days", tenant_id=of.tenant_id)
    own = [[Cell(day), Cell(events)] for day, events, _ in reversed(rows) if of.window.first <= day <= of.window.last]
    return _table("Days of event", (DAY, Column("events", "Events", "count")), own)


async def _letters(connection: AsyncConnection, of: Of) -> Table:
    wanted = {"tenant_id": of.tenant_id, "row_limit": MOST_REASONS, "sample_bytes": 0}
    rows = await _rows(connection, "dashboard/letter_reasons", **wanted)
    columns = (Column("reason", "Reason"), Column("letters", "Letters", "count"), Column("newest", "Newest", "moment"))
    return _table("Reasons", columns, [[Cell(row[0]), Cell(row[1]), Cell(row[3])] for row in rows])


async def _campaign(connection: AsyncConnection, of: Of) -> Table:
    rows = await _rows(connection, "dashboard/campaign_days", **_window(of), experiment_id=of.experiment or "")
    columns = (DAY, Column("events", "Events", "count"), Column("conversions", "Conversions", "count"))
    return _table("Days of event", columns, [[Cell(value) for value in row] for row in reversed(rows)])


def _experiment(of: Of) -> str:
    if of.experiment is None:
        raise InvalidRequestError("Name the experiment, and the variant or all of them: experiment and variant.")
    return of.experiment


def _window(of: Of) -> Mapping[str, Any]:
    return {"tenant_id": of.tenant_id, "first_day": of.window.first, "last_day": of.window.last}


async def _rows(connection: AsyncConnection, name: str, **parameters: Any) -> list[tuple[Any, ...]]:  # noqa: ANN401 - of any statement
    cursor = await connection.execute(statement(name), parameters)
    return await cursor.fetchall()


def _table(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> Table:
    return Table("parts", caption, columns, rows)


CHECK = "./tidemark check"
KEPT: dict[str, Kept] = {
    "variant_users_total": Kept("dashboard/assigned_by_day", "./tidemark refresh --full"),
    "campaign_events_total": Kept("dashboard/campaign_days", CHECK),
    "events_stored": Kept("dashboard/ledger_days", CHECK),
    "events_duplicate": Kept("dashboard/ledger_days", CHECK),
    "events_rejected": Kept("dashboard/ledger_days", CHECK),
    "dead_letters": Kept("dashboard/letter_reasons", "./tidemark dead-letters list"),
    "arrivals": Kept("refresh/count_arrivals", "./tidemark refresh --full"),
    "lake_events": Kept("refresh/count_arrivals", "./tidemark refresh --full"),
}
PARTS: dict[str, Parts] = {
    "variant_users_total": _assigned,
    "logging_rate_24h_by_variant_pooled": _rates,
    "campaign_events_total": _campaign,
    "events_stored": _ledger,
    "events_duplicate": _ledger,
    "events_rejected": _ledger,
    "dead_letters": _letters,
    "arrivals": _arrivals,
    "lake_events": _lake,
}
