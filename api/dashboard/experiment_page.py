"""GET /experiments/{experiment_id}: what one experiment is, whether its split came as planned, and its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
    Split,
    assigned_per_day,
    groups_of,
    headline,
    metric_series,
    pooled_rates,
    share_so_far,
    split,
    totals,
)
from api.dashboard.experiment_links import BY_ID, EDIT, UNKNOWN, experiment_link, id_in_query, is_plain, known_id
from api.dashboard.experiment_list import RATE, Numbers, last_mature_day
from api.dashboard.experiment_tables import (
    ask_users,
    assigned_table,
    fields_of,
    log_table,
    metric_table,
    split_table,
    targeting_words,
    variants_table,
)
from api.dashboard.funnels import Step, funnel_figures, funnel_steps, summary_table
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Table
from api.dashboard.variant_choice import Experiment
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError
from api.metrics.queries import read_experiments, read_ordered_funnels
from pipeline.experiments.definition import StoredExperiment
from pipeline.experiments.lifecycle import MOVES
from pipeline.experiments.store import UnknownExperimentError, read_changes, read_experiment, read_versions
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
    done: Done | None


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
    # On another connection: the two largest reads of the page need not wait for each other.
    funnel_rows = asyncio.ensure_future(
        visit.services.database.run(
            lambda connection: read_ordered_funnels(connection, visit.tenant_id, visit.window, None, experiment_id),
            visit.tenant_id,
        )
    )
    try:
        found = await visit.read(lambda connection: _read(connection, visit, experiment_id, change, wants_log))
        funnel = (await funnel_rows)["rows"]
    except UnknownExperimentError as error:
        raise ApiError(404, UNKNOWN) from error
    finally:
        funnel_rows.cancel()
    stored = found.stored
    groups = groups_of(stored)
    plan = split(stored, found.counts, found.versions)
    rates = pooled_rates(found.series, last_mature_day(visit.window))
    numbers = Numbers(
        {(experiment_id, key): users for key, users in totals(found.counts).items()},
        {(experiment_id, key): rate for key, rate in rates.items()},
    )
    steps, funnel_table = _funnel(visit, stored, funnel)
    entries = found.changes if wants_log else found.changes[:LOG_ENTRIES]
    tables = [
        variants_table(visit, stored, groups, numbers),
        split_table(visit, stored, plan),
        log_table(entries),
        *([funnel_table] if funnel_table is not None else []),
    ]
    here = experiment_link(visit, experiment_id)
    return visit.page(
        "experiment.html",
        title=stored.definition.name or experiment_id,
        tables=tables,
        numbers={
            "assigned": partial(assigned_table, visit, experiment_id, found.counts, groups),
            **{
                name: partial(metric_table, stored, groups, found.series, name, visit.window.last)
                for name, _, _ in METRICS
            },
        },
        stored=stored,
        definition=stored.definition,
        name=stored.definition.name or experiment_id,
        headline=headline(stored, plan, rates),
        plan=plan,
        cards=_cards(stored, plan, numbers),
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
        ask_users=partial(ask_users, visit, experiment_id),
        ask_rate=ask(RATE, days=visit.window.days, experiment=experiment_id),
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
    return _Read(
        stored,
        await read_versions(connection, tenant_id, experiment_id),
        await read_changes(connection, tenant_id, experiment_id, limit=limit),
        counts,
        published["experiments"][0]["series"] if published["experiments"] else (),
        await read_done(connection, tenant_id, change),
    )


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
