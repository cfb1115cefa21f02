"""GET /experiments: all experiments of the tenant, filtered, sorted and cut into pages by Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.asking import ask
from api.dashboard.charts.time_series import variant_colors
from api.dashboard.experiment_changes import Done, done_in_query, read_done
from api.dashboard.experiment_links import NEW, experiment_link
from api.dashboard.figures import IMMATURE_DAYS
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.visit import Visit, visit_of
from api.errors import InvalidRequestError
from api.json_text import text_problem
from api.metrics.window import MetricsWindow
from pipeline.experiments.definition import STATUSES, Status, StoredExperiment
from pipeline.experiments.listing import (
    DEFAULT_SORT,
    SORTS,
    CursorError,
    ListQuery,
    Page,
    decode_cursor,
    list_experiments,
)
from pipeline.statements import statement

PAGE_SIZE = 25
MAX_WORDS = 200
MAX_UNREGISTERED = 20
RATE = "logging_rate_24h_by_variant_pooled"
# Columns of the page that can be sorted, and whether the first click sorts them downwards.
SORT_COLUMNS = {"name": False, "status": False, "startDate": True, "endDate": True, "createdAt": True}

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class ListedVariant:
    """A variant with its users so far, and its pooled 24 hour rate; None where nothing is published."""

    key: str
    name: str
    color: int
    weight: float
    users: int
    cohort_size: int | None
    converted: int | None
    ask_users: str
    ask_rate: str

    @property
    def rate(self) -> float | None:
        """The share of the cohort that submitted a session within 24 hours."""
        return self.converted / self.cohort_size if self.cohort_size and self.converted is not None else None


@dataclass(frozen=True)
class Listed:
    """One row of the list."""

    experiment: StoredExperiment
    name: str
    href: str
    variants: Sequence[ListedVariant]

    @property
    def users(self) -> int:
        """Users assigned so far."""
        return sum(variant.users for variant in self.variants)


@dataclass(frozen=True)
class Numbers:
    """What is counted of experiments, by (experiment_id, variant_id): users, and (cohort_size, converted)."""

    users: Mapping[tuple[str, str], int]
    rates: Mapping[tuple[str, str], tuple[int, int]]


@dataclass(frozen=True)
class _Read:
    page: Page
    numbers: Numbers
    unregistered: Sequence[tuple[str, int, int, date]]
    done: Done | None


@router.get("/experiments")
async def experiments(request: Request) -> Response:
    """Show a page of the list: `q`, `status`, `sort`, `cursor`."""
    visit = visit_of(request)
    query = _query(request)
    change = done_in_query(request)

    async def read(connection: AsyncConnection) -> _Read:
        page = await list_experiments(connection, visit.tenant_id, query)
        ids = [one.experiment_id for one in page.experiments]
        return _Read(
            page,
            await read_numbers(connection, visit, ids),
            await _unregistered(connection, visit),
            await read_done(connection, visit.tenant_id, change),
        )

    found = await visit.read(read)
    rows = [listed(visit, one, found.numbers) for one in found.page.experiments]
    return visit.page(
        "experiments.html",
        title="Experiments",
        tables=(experiments_table(rows), unregistered_table(found.unregistered)),
        rows=rows,
        total=found.page.total,
        is_filtered=bool(query.words or query.statuses),
        words=query.words or "",
        chosen_status=query.statuses[0] if query.statuses else "",
        statuses=STATUSES,
        sort=query.sort,
        sorts={name: sort_link(visit, query.sort, name) for name in SORT_COLUMNS},
        is_first=query.after is None,
        next=visit.link(cursor=found.page.next_cursor, done=None, of=None) if found.page.next_cursor else None,
        here=visit.link(done=None, of=None, said=None, cursor=None),
        done=found.done,
        may_change=visit.may("manage"),
        new=visit.link(NEW),
        rate=RATE,
    )


async def read_numbers(connection: AsyncConnection, visit: Visit, ids: Sequence[str]) -> Numbers:
    """Return what is counted of some experiments: users so far, and rates over the window's mature days."""
    wanted = {
        "tenant_id": visit.tenant_id,
        "experiment_ids": list(ids),
        "first_day": visit.window.first,
        "last_day": last_mature_day(visit.window),
    }
    totals = await connection.execute(statement("dashboard/assigned_totals"), wanted)
    users = {(experiment_id, variant_id): count for experiment_id, variant_id, count in await totals.fetchall()}
    pooled = await connection.execute(statement("dashboard/variant_rates"), wanted)
    rates = {
        (experiment_id, variant_id): (size, converted)
        for experiment_id, variant_id, size, converted in await pooled.fetchall()
    }
    return Numbers(users, rates)


def last_mature_day(window: MetricsWindow) -> date:
    """Return the last day of a window whose users' 24 hours are over."""
    return window.last - timedelta(days=IMMATURE_DAYS)


def listed(visit: Visit, experiment: StoredExperiment, numbers: Numbers) -> Listed:
    """Return an experiment with what is counted of it."""
    definition, experiment_id = experiment.definition, experiment.experiment_id
    colors = variant_colors([(variant.key, variant.is_control) for variant in definition.variants])
    variants = []
    for variant in definition.variants:
        size, converted = numbers.rates.get((experiment_id, variant.key), (None, None))
        place: dict[str, Any] = {"days": visit.window.days, "experiment": experiment_id, "variant": variant.key}
        variants.append(
            ListedVariant(
                variant.key,
                variant.name,
                colors[variant.key],
                variant.weight,
                numbers.users.get((experiment_id, variant.key), 0),
                size,
                converted,
                ask("variant_users_total", **place),
                ask(RATE, **place),
            )
        )
    return Listed(experiment, definition.name or experiment_id, experiment_link(visit, experiment_id), variants)


def experiments_table(rows: Sequence[Listed]) -> Table:
    """Return the page's experiments as a table of a row for each variant, for the CSV."""
    columns = (
        Column("experiment_id", "Id"),
        Column("name", "Experiment"),
        Column("status", "Status"),
        Column("start", "Starts", "moment"),
        Column("end", "Ends", "moment"),
        Column("variant", "Variant"),
        Column("weight", "Weight", "count"),
        Column("users", "Users", "count", "variant_users_total"),
        Column("rate", "24 h logging", "share", RATE),
        Column("cohort_size", "Of new users", "count", "cohort_size"),
    )
    cells = [
        [
            Cell(row.experiment.experiment_id, href=row.href),
            Cell(row.name),
            Cell(row.experiment.definition.status),
            Cell(row.experiment.definition.start_at),
            Cell(row.experiment.definition.end_at),
            Cell(variant.key),
            Cell(variant.weight),
            Cell(variant.users, variant.ask_users),
            Cell(variant.rate, variant.ask_rate, of=variant.cohort_size),
            Cell(variant.cohort_size),
        ]
        for row in rows
        for variant in row.variants
    ]
    return Table("experiments", "Experiments", columns, cells)


def unregistered_table(rows: Sequence[tuple[str, int, int, date]]) -> Table:
    """Return the experiments that campaign events name and nobody has registered."""
    columns = (
        Column("experiment_id", "Id in the events"),
        Column("events", "Events", "count", "campaign_events_total"),
        Column("conversions", "Conversions", "count"),
        Column("last_day", "Last seen (UTC)", "day"),
    )
    cells = [
        [Cell(experiment_id), Cell(events, ask("campaign_events_total", experiment=experiment_id)), Cell(conversions),
         Cell(last)]
        for experiment_id, events, conversions, last in rows
    ]  # fmt: skip
    return Table("unregistered", "Not registered here, but named by campaign events", columns, cells)


def sort_link(visit: Visit, present: str, name: str) -> tuple[str, str]:
    """Return where a column's head leads, and how the column is sorted now, as aria-sort says it."""
    is_sorted = present.removeprefix("-") == name
    downwards = present.startswith("-")
    wanted = not downwards if is_sorted else SORT_COLUMNS[name]
    state = ("descending" if downwards else "ascending") if is_sorted else "none"
    return visit.link(sort=f"-{name}" if wanted else name, cursor=None, done=None, of=None), state


async def _unregistered(connection: AsyncConnection, visit: Visit) -> list[tuple[str, int, int, date]]:
    wanted = {
        "tenant_id": visit.tenant_id,
        "first_day": visit.window.first,
        "last_day": visit.window.last,
        "row_limit": MAX_UNREGISTERED,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement("dashboard/unregistered_experiments"), wanted)
        rows = await cursor.fetchall()
    return [(row["experiment_id"], row["events"], row["conversions"], row["last_day"]) for row in rows]


def _query(request: Request) -> ListQuery:
    words = request.query_params.get("q", "").strip() or None
    if words is not None and (len(words) > MAX_WORDS or text_problem(words)):
        raise InvalidRequestError(f"The search must be a text of at most {MAX_WORDS} characters.")
    status = request.query_params.get("status") or None
    if status is not None and status not in STATUSES:
        raise InvalidRequestError(f"The status must be one of {', '.join(STATUSES)}.")
    sort = request.query_params.get("sort") or DEFAULT_SORT
    if sort.removeprefix("-") not in SORTS:
        raise InvalidRequestError(f"The order must be one of {', '.join(SORTS)}.")
    cursor = request.query_params.get("cursor")
    try:
        after = decode_cursor(sort, cursor) if cursor else None
    except CursorError as error:
        raise InvalidRequestError("This page of the list is not there. Begin with the first one.") from error
    statuses: list[Status] | None = [found for found in STATUSES if found == status] or None
    return ListQuery(statuses, words, sort, PAGE_SIZE, after)
