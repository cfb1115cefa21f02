"""GET /experiments/{experiment_id}: what one experiment is, whether its split came as planned, and its numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.answers import redirect
from api.dashboard.asking import ask
from api.dashboard.charts.bar import bar
from api.dashboard.experiment_changes import ORDER_NAMES, ORDERS, Done, done_in_query, read_done
from api.dashboard.experiment_figures import (
    METRICS,
    Counts,
    Group,
    Split,
    assigned_per_day,
    cohort_size,
    groups_of,
    headline,
    metric_series,
    share_so_far,
    split,
)
from api.dashboard.experiment_links import BY_ID, EDIT, UNKNOWN, experiment_link, id_in_query, is_plain, known_id
from api.dashboard.experiment_list import RATE, Numbers, read_numbers
from api.dashboard.funnels import Step, funnel_figures, funnel_steps, summary_table
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.variant_choice import Experiment
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError
from api.metrics.queries import read_experiments, read_ordered_funnels
from pipeline.experiments.definition import StoredExperiment
from pipeline.experiments.lifecycle import MOVES
from pipeline.experiments.store import UnknownExperimentError, read_changes, read_experiment, read_versions
from pipeline.rollups.metric_catalogue import entry
from pipeline.statements import statement

LOG_ENTRIES = 20
ALL_LOG_ENTRIES = 500
TOLD = {"created": "The experiment is created", "saved": "The changes are saved", "same": "Nothing was changed"}
Row = Mapping[str, Any]

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class _Read:
    stored: StoredExperiment
    versions: Sequence[Row]
    changes: Sequence[Row]
    counts: Counts
    series: Sequence[Row]
    funnel_rows: Sequence[Row]
    numbers: Numbers
    done: Done | None


@dataclass(frozen=True)
class Field:
    """A field of a log entry: its name, and its values before and after as text."""

    name: str
    before: str
    after: str


@router.get("/experiments/by-id")
async def by_id(request: Request) -> Response:
    """Show the experiment that the query names: for ids that cannot stand in a path."""
    return await _page(request, id_in_query(request))


@router.get("/experiments/{experiment_id}")
async def experiment(request: Request) -> Response:
    """Show an experiment."""
    experiment_id = known_id(str(request.path_params["experiment_id"]))
    if not is_plain(experiment_id):
        visit_of(request)
        return redirect(request, f"{BY_ID}?{urlencode({'id': experiment_id})}")
    return await _page(request, experiment_id)


async def _page(request: Request, experiment_id: str) -> Response:
    visit = visit_of(request)
    change = done_in_query(request)
    wants_log = "log" in (request.query_params.get("show"), request.query_params.get("csv"))
    try:
        found = await visit.read(lambda connection: _read(connection, visit, experiment_id, change, wants_log))
    except UnknownExperimentError as error:
        raise ApiError(404, UNKNOWN) from error
    stored = found.stored
    groups = groups_of(stored)
    plan = split(stored, found.counts, found.versions)
    rates = {key: rate for (_, key), rate in found.numbers.rates.items()}
    steps, funnel_table = _funnel(visit, stored, found.funnel_rows)
    entries = found.changes if wants_log else found.changes[:LOG_ENTRIES]
    tables = [
        variants_table(visit, stored, groups, found.numbers),
        split_table(visit, stored, plan),
        assigned_table(found.counts, groups),
        *(metric_table(stored, groups, found.series, name) for name, _, _ in METRICS),
        log_table(entries),
        *([funnel_table] if funnel_table is not None else []),
    ]
    here = experiment_link(visit, experiment_id)
    return visit.page(
        "experiment.html",
        title=stored.definition.name or experiment_id,
        tables=tables,
        stored=stored,
        definition=stored.definition,
        name=stored.definition.name or experiment_id,
        headline=headline(stored, plan, rates),
        plan=plan,
        cards=_cards(stored, plan, found.numbers),
        groups=groups,
        targeting=targeting_words(stored.definition.targeting),
        assigned=assigned_per_day(groups, found.counts, visit.window) if found.counts else None,
        shares=share_so_far(plan, found.counts, visit.window) if plan.users else None,
        metrics=[(name, metric_series(groups, found.series, visit.window, name)) for name, _, _ in METRICS],
        has_series=bool(found.series),
        steps=steps,
        entries=[(row, fields_of(row)) for row in entries],
        more_entries=len(found.changes) > len(entries),
        orders=[(order, ORDER_NAMES[order]) for order in ORDERS if ORDERS[order] in MOVES[stored.definition.status]],
        may_change=visit.may("manage"),
        edit=visit.link(EDIT, id=experiment_id),
        here=here,
        done=found.done,
        said=TOLD.get(request.query_params.get("said", "")),
        rate=RATE,
        bars={row.group.key: bar(row.actual_share or 0.0, color=row.group.color) for row in plan.rows},
    )


async def _read(
    connection: AsyncConnection, visit: Visit, experiment_id: str, change: tuple[UUID, int] | None, wants_log: bool
) -> _Read:
    tenant_id = visit.tenant_id
    stored = await read_experiment(connection, tenant_id, experiment_id)
    limit = ALL_LOG_ENTRIES if wants_log else LOG_ENTRIES + 1
    wanted = {"tenant_id": tenant_id, "experiment_id": experiment_id}
    counted = await connection.execute(statement("dashboard/assigned_by_day"), wanted)
    counts = {(variant_id, day): int(users) for variant_id, day, users in await counted.fetchall()}
    published = await read_experiments(connection, tenant_id, visit.window, experiment_id)
    funnels = await read_ordered_funnels(connection, tenant_id, visit.window, None, experiment_id)
    return _Read(
        stored,
        await read_versions(connection, tenant_id, experiment_id),
        await read_changes(connection, tenant_id, experiment_id, limit=limit),
        counts,
        published["experiments"][0]["series"] if published["experiments"] else (),
        funnels["rows"],
        await read_numbers(connection, visit, [experiment_id]),
        await read_done(connection, tenant_id, change),
    )


def variants_table(visit: Visit, stored: StoredExperiment, groups: Sequence[Group], numbers: Numbers) -> Table:
    """Return the variants with their weights, users, and pooled 24 hour rates."""
    columns = (
        Column("variant", "Variant"),
        Column("name", "Name"),
        Column("control", "Control"),
        Column("weight", "Weight", "count"),
        Column("users", "Users", "count", "variant_users_total"),
        Column("rate", "24 h logging", "share", RATE),
        Column("cohort_size", "Of new users", "count", "cohort_size"),
        Column("config", "Config"),
    )
    variants = {variant.key: variant for variant in stored.definition.variants}
    rows = []
    for group in groups:
        variant = variants[group.key]
        size, converted = numbers.rates.get((stored.experiment_id, group.key), (None, None))
        place: dict[str, Any] = {"days": visit.window.days, "experiment": stored.experiment_id, "variant": group.key}
        rows.append(
            [
                Cell(group.key),
                Cell(group.name),
                Cell("control" if group.is_control else ""),
                Cell(variant.weight),
                Cell(numbers.users.get((stored.experiment_id, group.key), 0), ask("variant_users_total", **place)),
                Cell(converted / size if size and converted is not None else None, ask(RATE, **place), of=size),
                Cell(size),
                Cell(json.dumps(variant.config, ensure_ascii=False) if variant.config else ""),
            ]
        )
    return Table("variants", "Variants", columns, rows)


def split_table(visit: Visit, stored: StoredExperiment, plan: Split) -> Table:
    """Return the planned split beside the one that came."""
    columns = (
        Column("variant", "Variant"),
        Column("expected_share", "Planned", "share"),
        Column("expected_users", "Planned users", "count"),
        Column("users", "Users", "count", "variant_users_total"),
        Column("actual_share", "Share", "share"),
        Column("difference", "Difference", "points"),
    )
    rows = [
        [
            Cell(row.group.key),
            Cell(row.expected_share),
            Cell(row.expected_users),
            Cell(
                row.users,
                ask("variant_users_total", days=visit.window.days, experiment=stored.experiment_id,
                    variant=row.group.key),
            ),
            Cell(row.actual_share, of=plan.users),
            Cell(row.difference),
        ]
        for row in plan.rows
    ]  # fmt: skip
    return Table("split", "Split, as planned and as it came", columns, rows)


def assigned_table(counts: Counts, groups: Sequence[Group]) -> Table:
    """Return the users assigned to each variant on each day, the last day first."""
    columns = [Column("day", "Day (UTC)", "day"), *(Column(group.key, group.key, "count") for group in groups)]
    days: list[date] = sorted({day for _, day in counts}, reverse=True)
    rows = [[Cell(day), *(Cell(counts.get((group.key, day), 0)) for group in groups)] for day in days]
    return Table("assigned", "Users assigned each day", columns, rows)


def metric_table(stored: StoredExperiment, groups: Sequence[Group], series: Sequence[Row], name: str) -> Table:
    """Return one published metric by day and variant, the last day first; each number says where it comes from."""
    kind = next(kind for metric, kind, _ in METRICS if metric == name)
    own = {(row["day"], row["variant_id"]): row for row in series if row["metric_name"] == name}
    columns = [Column("day", "Day (UTC)", "day")]
    for group in groups:
        columns.append(Column(group.key, group.key, kind))
        columns.append(Column(f"{group.key} cohort", f"of (new users in {group.key})", "count"))
    rows = []
    for day in sorted({row["day"] for row in own.values()}, reverse=True):
        cells = [Cell(day)]
        for group in groups:
            row = own.get((day, group.key))
            size = cohort_size(row) if row else None
            source = ask(name, day=day, experiment=stored.experiment_id, variant=group.key) if row else None
            is_empty = kind == "share" and not size
            cells.append(Cell(row["value"] if row and not is_empty else None, source, of=size))
            cells.append(Cell(size))
        rows.append(cells)
    return Table(name, entry(name).label, columns, rows)


def log_table(entries: Sequence[Row]) -> Table:
    """Return the audit log, a row for each field that changed, the latest change first."""
    columns = (
        Column("at", "When", "moment"),
        Column("by", "Who"),
        Column("revision", "Revision", "count"),
        Column("version", "Version", "count"),
        Column("field", "Field"),
        Column("before", "Before"),
        Column("after", "After"),
        Column("note", "Note"),
    )
    rows = [
        [Cell(row["changed_at"]), Cell(row["changed_by"]), Cell(row["revision"]), Cell(row["version"]),
         Cell(field.name), Cell(field.before), Cell(field.after), Cell(row["note"])]
        for row in entries
        for field in fields_of(row)
    ]  # fmt: skip
    return Table("log", "Log of changes", columns, rows)


def fields_of(row: Row) -> list[Field]:
    """Return the fields of a log entry, in words."""
    return [
        Field(name, _words(change["before"]), _words(change["after"]))
        for name, change in sorted(row["changes"].items())
    ]


def targeting_words(targeting: Any) -> list[str]:  # noqa: ANN401 - any JSON value
    """Return a targeting rule as short phrases; none when everybody fits."""
    if not isinstance(targeting, dict):
        return []
    words = []
    platform = targeting.get("platform")
    if platform is not None:
        words.append(" or ".join(map(str, platform if isinstance(platform, list) else [platform])))
    for key, phrase in (("min_app_version", "version {} or newer"), ("max_app_version", "version {} or older")):
        if targeting.get(key) is not None:
            words.append(phrase.format(targeting[key]))
    others = sorted(set(targeting) - {"platform", "min_app_version", "max_app_version"})
    return [*words, *(f"{key}: {json.dumps(targeting[key], ensure_ascii=False)} (ignored)" for key in others)]


def _cards(stored: StoredExperiment, plan: Split, numbers: Numbers) -> dict[str, Any]:
    sizes = [size for size, _ in numbers.rates.values()]
    return {
        "largest": plan.largest,
        "mature": sum(sizes),
        "smallest_cohort": min(sizes, default=0),
        "traffic": stored.definition.traffic_allocation,
        "layer": stored.definition.layer,
    }


def _funnel(visit: Visit, stored: StoredExperiment, rows: Sequence[Row]) -> tuple[list[Step], Table | None]:
    """Return the first ordered funnel by variant; nothing while no variant is in it."""
    names = sorted({row["funnel_name"] for row in rows})
    variants = {variant.key: variant.name for variant in stored.definition.variants}
    control = next((variant.key for variant in stored.definition.variants if variant.is_control), None)
    of = Experiment(stored.experiment_id, stored.definition.status, variants, control)
    if not names:
        return [], None
    figures = funnel_figures(rows, (), names[0], of, in_order=True)
    if len(figures) < 2:
        return [], None
    steps = funnel_steps(visit, figures, names[0], of, in_order=True)
    return steps, summary_table(visit, figures, names[0], of, in_order=True)


def _words(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
