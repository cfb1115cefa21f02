"""GET /provenance: where a number comes from. A page of its own, or the panel that a page's script opens.

A published number is traced by `pipeline.provenance.explanation`; a derived one leads to the published ones behind it.
A tenant's own key shows no paths of this machine: the line that reproduces a number reads the operator's lake.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard import formats
from api.dashboard.answers import is_fragment
from api.dashboard.derived import Of, read_parts
from api.dashboard.kept_counts import kept
from api.dashboard.page_route import PageRoute
from api.dashboard.panel import panel
from api.dashboard.variant_choice import chosen_name
from api.dashboard.visit import Visit, visit_of
from api.errors import ApiError, InvalidRequestError
from pipeline.rollups.metric_catalogue import CatalogueEntry, catalogue

# Tracing opens the lake: few at a time, and never on the threads that others wait for.
_tracing = ThreadPoolExecutor(2, thread_name_prefix="provenance")
PERIODS = ("1", "3", "7", "14", "30")

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@router.get("/provenance")
async def provenance(request: Request) -> Response:
    """Explain a number: `metric` with `day`, or a derived one with `days`, and what `asking.ask` adds.

    With `change=1` a derived one's change, by the numbers of the window and the one before it.
    """
    visit = visit_of(request)
    entry = _entry(chosen_name(request, "metric"))
    named = {name: chosen_name(request, name) for name in ("dimension", "experiment", "variant", "funnel", "step")}
    period = request.query_params.get("days_after")
    if period is not None and period not in PERIODS:
        raise InvalidRequestError(f"Query parameter 'days_after' must be one of {', '.join(PERIODS)}.")
    days_after = None if period is None else int(period)
    if entry.table is None:
        window = visit.both_windows if request.query_params.get("change") == "1" else visit.window
        of = Of(visit.tenant_id, window, days_after=days_after, **named)
        parts = await visit.read(lambda connection: read_parts(connection, entry.name, of))
        labels = _labels(named, days_after)
        return _shown(visit, entry, day=None, tables=(parts,), explained=None, labels=labels, window=window)
    day = _day(visit)
    explained = await _explained(visit, entry.name, day, named, days_after)
    if not is_fragment(request):
        await visit.read_frame()
    return _shown(visit, entry, explained=explained, labels=_labels(named, days_after), day=day)


def _shown(visit: Visit, entry: CatalogueEntry, *, day: date | None, **context: Any) -> Response:  # noqa: ANN401 - what the template shows
    heading = entry.label if day is None else f"{entry.label}, {formats.day(day)} {day.year}"
    return panel(visit, "provenance_number.html", heading, entry=entry, kept=kept(entry.name), **context)


async def _explained(visit: Visit, metric: str, day: date, named: dict[str, str | None], days_after: int | None) -> Any:  # noqa: ANN401 - pipeline.provenance.explanation.Explanation, which is loaded when it is needed
    settings = visit.services.dashboard.settings
    if settings.database_url is None:
        raise ApiError(503, "There is no database to ask.")
    url = settings.database_url.get_secret_value()

    def trace() -> Any:  # noqa: ANN401 - as above
        # Loads the lake's readers, which a process that nobody asks need not have in memory.
        from pipeline.lake.table import LakeError  # noqa: PLC0415
        from pipeline.provenance.explanation import (  # noqa: PLC0415
            NotPublishedError,
            Question,
            UnknownMetricError,
            explain,
        )
        from pipeline.provenance.record import NotRecordedError  # noqa: PLC0415

        question = Question(
            metric=metric,
            day=day,
            tenant=visit.tenant_id,
            dimension=named["dimension"],
            experiment=named["experiment"],
            variant=named["variant"],
            funnel=named["funnel"] or "core_journey",
            step=named["step"],
            days_after=days_after,
        )
        try:
            return explain(settings, url, question)
        except (NotPublishedError, NotRecordedError) as error:
            raise ApiError(404, f"{error}.") from error
        except (LakeError, OSError) as error:
            raise ApiError(503, "The lake cannot be read at this moment.") from error
        except UnknownMetricError as error:
            raise InvalidRequestError(f"{error}.") from error

    return await asyncio.get_running_loop().run_in_executor(_tracing, trace)


def _entry(name: str | None) -> CatalogueEntry:
    found = next((entry for entry in catalogue() if entry.name == name), None)
    if found is None:
        raise ApiError(404, "There is no such metric. The catalogue lists them.")
    return found


def _day(visit: Visit) -> date:
    try:
        day = date.fromisoformat(visit.request.query_params.get("day", ""))
    except ValueError as error:
        raise InvalidRequestError("Query parameter 'day' must be a day such as 2026-02-19.") from error
    if not visit.window.last - timedelta(days=3_650) <= day <= visit.window.last + timedelta(days=1):
        raise InvalidRequestError("Query parameter 'day' must be a day of the last ten years.")
    return day


def _labels(named: dict[str, str | None], days_after: int | None) -> list[tuple[str, str]]:
    labels = [(name.capitalize(), value) for name, value in named.items() if value]
    return labels if days_after is None else [*labels, ("Days after", str(days_after))]
