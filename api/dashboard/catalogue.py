"""GET /metrics-catalogue: every metric in words; the same entries as `GET /v1/metrics/catalogue`."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.visit import visit_of
from pipeline.rollups.metric_catalogue import CatalogueEntry, catalogue

COLUMNS = (
    Column("name", "Name"),
    Column("label", "Metric"),
    Column("unit", "Unit"),
    Column("definition", "Definition"),
    Column("caveats", "Caveats"),
    Column("table", "Table"),
)

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/metrics-catalogue")
async def metrics_catalogue(request: Request) -> Response:
    """Show the catalogue."""
    visit = visit_of(request)
    await visit.read_frame()
    entries = catalogue()
    return visit.page(
        "catalogue.html",
        title="Metrics",
        tables=(catalogue_table(entries),),
        published=[entry for entry in entries if entry.table is not None],
        derived=[entry for entry in entries if entry.table is None],
    )


def catalogue_table(entries: tuple[CatalogueEntry, ...]) -> Table:
    """Return the catalogue as a table."""
    rows = [
        [Cell(entry.name), Cell(entry.label), Cell(entry.unit), Cell(entry.definition), Cell(" ".join(entry.caveats)),
         Cell(entry.table)]
        for entry in entries
    ]  # fmt: skip
    return Table("catalogue", "Metrics catalogue", COLUMNS, rows)
