"""GET /lake: days, files, versions and rows of the lake, and the runs that were computed from it.

Files, versions and runs belong to all tenants together: they are the operator's. Who signed in with a tenant's key
sees the tenant's own events by day, which every refresh counts (docs/adr/0023-arrival-counts.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.asking import ask
from api.dashboard.lake_reading import LakeReader, LakeState
from api.dashboard.page_route import PageRoute
from api.dashboard.records import LAKE, ask_run
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.visit import Visit, visit_of
from api.errors import InvalidRequestError
from api.runs.queries import read_runs
from api.runs.routes import RUN_NAMES
from pipeline.rollups.run_history import STATUSES
from pipeline.statements import statement

PLACE = "/lake"
RUNS_PAGE = 25
Json = dict[str, Any]

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class _Read:
    own_days: Sequence[tuple[date, int, date]]
    counted: tuple[int, datetime] | None
    runs: Sequence[Json]


@router.get(PLACE)
async def lake(request: Request) -> Response:
    """Show the lake and the runs: `job`, `status` and `cursor` choose runs."""
    visit = visit_of(request)
    is_operator = visit.session.is_operator
    wanted = _runs_query(request) if is_operator else None
    found = await visit.read(lambda connection: _read(connection, visit, wanted))
    state = await _state(visit) if is_operator else None
    runs = found.runs[:RUNS_PAGE]
    tables = [own_days_table(visit, found.own_days)]
    if state is not None:
        tables += [days_table(state), versions_table(state), runs_table(runs)]
    settings = visit.services.dashboard.settings
    return visit.page(
        "lake.html",
        title="Lake and runs",
        tables=tables,
        state=state,
        own_events=sum(events for _, events, _ in found.own_days),
        own_days=len(found.own_days),
        counted=found.counted,
        runs=runs,
        next=visit.link(cursor=runs[-1]["run_id"]) if len(found.runs) > RUNS_PAGE else None,
        is_first=wanted is None or wanted["cursor"] is None,
        job=wanted and wanted["job_name"],
        run_status=wanted and wanted["status"],
        jobs=RUN_NAMES,
        statuses=STATUSES,
        dagster=f"http://127.0.0.1:{settings.dagster_port}/",
        is_operator=is_operator,
        asked=ask("lake_events", days=visit.window.days),
        ask_lake=LAKE,
        ask_run=ask_run,
    )


async def _read(connection: AsyncConnection, visit: Visit, wanted: Json | None) -> _Read:
    days = await connection.execute(statement("dashboard/lake_days"), {"tenant_id": visit.tenant_id})
    own = [(row[0], row[1], row[2]) for row in await days.fetchall()]
    progress = await (await connection.execute(statement("dashboard/arrival_progress"))).fetchone()
    counted = None if progress is None else (progress[0], progress[1])
    if wanted is None:
        return _Read(own, counted, ())
    return _Read(own, counted, await read_runs(connection, **wanted))


async def _state(visit: Visit) -> LakeState:
    reader = _reader(visit.services.dashboard.settings.lake)
    return await asyncio.get_running_loop().run_in_executor(reader.threads, reader.state)


@cache
def _reader(root: Path) -> LakeReader:
    return LakeReader(root)


def own_days_table(visit: Visit, days: Sequence[tuple[date, int, date]]) -> Table:
    """Return the tenant's events in the lake by day, the last day first."""
    columns = (
        Column("day", "Happened (UTC)"),
        Column("events", "Events", "count", "lake_events"),
        Column("newest_received", "Newest received (UTC)", "day"),
    )
    source = ask("lake_events", days=visit.window.days)
    rows = [
        [Cell(str(day)), Cell(events, source if visit.window.first <= day <= visit.window.last else None),
         Cell(newest)]
        for day, events, newest in reversed(days)
    ]  # fmt: skip
    return Table("own_days", f"Events of {visit.tenant_id} in the lake, by day", columns, rows)


def days_table(state: LakeState) -> Table:
    """Return the days of the lake's newest version, of all tenants, the last day first."""
    columns = (
        Column("day", "Happened (UTC)"),
        Column("rows", "Events", "count"),
        Column("files", "Files", "count"),
        Column("size", "Size", "bytes"),
    )
    rows = [
        [Cell(str(one.day)), Cell(one.rows, LAKE), Cell(one.files, LAKE), Cell(one.size, LAKE)] for one in state.days
    ]
    return Table("days", "Days of the lake, all tenants", columns, rows)


def versions_table(state: LakeState) -> Table:
    """Return the lake's newest versions."""
    columns = (
        Column("version", "Version", "count"),
        Column("committed", "Committed", "moment"),
        Column("operation", "Operation"),
        Column("rows", "Rows gained", "count"),
        Column("files_added", "Files added", "count"),
        Column("files_removed", "Files removed", "count"),
    )
    rows = [
        [Cell(one.version, LAKE), Cell(one.committed_at), Cell(one.operation.capitalize()), Cell(one.rows, LAKE),
         Cell(one.files_added, LAKE), Cell(one.files_removed, LAKE)]
        for one in state.versions
    ]  # fmt: skip
    return Table("versions", "Newest versions", columns, rows)


def runs_table(runs: Sequence[Json]) -> Table:
    """Return runs as `GET /v1/runs` does, the newest first."""
    columns = (
        Column("run_id", "Run"),
        Column("job", "Job"),
        Column("status", "Status"),
        Column("started", "Started", "moment"),
        Column("seconds", "Took", "seconds"),
        Column("days", "Days", "count"),
        Column("rows", "Rows", "count"),
        Column("ignored", "Ignored", "count"),
        Column("lake_version", "Lake version", "count"),
        Column("error", "Error"),
    )
    rows = [
        [Cell(run["run_id"]), Cell(run["job_name"]), Cell(run["status"]), Cell(run["started_at"]),
         Cell(run["seconds"]), Cell(run_days(run)), Cell(run["rows_written"]), Cell(run["ignored_count"]),
         Cell(run["lake_version"]), Cell(run["error_text"])]
        for run in runs
    ]  # fmt: skip
    return Table("runs", "Runs", columns, rows)


def run_days(run: Json) -> int:
    """Return how many UTC days a run computed."""
    if run["days"]:
        return len(run["days"])
    first, end = (datetime.fromisoformat(run[name]) for name in ("window_start", "window_end"))
    return max((end - first).days, 0)


def _runs_query(request: Request) -> Json:
    job, status = (request.query_params.get(name) or None for name in ("job", "status"))
    if job is not None and job not in RUN_NAMES:
        raise InvalidRequestError(f"Query parameter 'job' must be one of: {', '.join(RUN_NAMES)}.")
    if status is not None and status not in STATUSES:
        raise InvalidRequestError(f"Query parameter 'status' must be one of: {', '.join(STATUSES)}.")
    try:
        cursor = UUID(request.query_params["cursor"]) if request.query_params.get("cursor") else None
    except ValueError as error:
        raise InvalidRequestError("This page of the runs is not there. Begin with the first one.") from error
    return {"job_name": job, "status": status, "cursor": cursor, "row_limit": RUNS_PAGE + 1}
