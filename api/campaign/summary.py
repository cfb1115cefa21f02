"""GET /api/analytics/summary: what a tenant's campaign events add up to over a range of UTC days.

The answer comes from counts kept in the transactions that store the events (`pipeline.ingestion.campaign_counts`): a
row per day and variant, exact at the moment of the request. Nothing is cached: see docs/adr/0020-campaign-counts.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from psycopg import AsyncConnection
from starlette.responses import Response

from api.access.guard import caller_of, documented_key
from api.answers import JsonAnswer
from api.campaign.route import CampaignError, CampaignRoute, campaign_failures
from api.campaign.summary_models import AnalyticsSummaryResponse
from api.ingestion.timestamps import TimestampError, TimestampRangeError, parse_timestamp
from api.json_text import text_problem
from api.openapi import query_parameters
from api.state import services
from pipeline.ingestion.campaign_counts import MAX_RANGE_DAYS
from pipeline.statements import statement

# The scope of all events, whatever experiment or variant they name, if any.
ANY = ""
DAY = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}, {"const": ""}]}
START_DATE = {
    "name": "startDate",
    "description": "First UTC day, `YYYY-MM-DD`; of a date and time, the UTC day it lies on. Absent or empty: from "
    "the first event on.",
    "schema": DAY,
}
END_DATE = {
    "name": "endDate",
    "description": f"Last UTC day, included as a whole; written as `startDate`, and at most {MAX_RANGE_DAYS} days from "
    "it, both included. Absent or empty: today with a `startDate`, the newest event without one.",
    "schema": DAY,
}
EXPERIMENT_ID = {
    "name": "experimentId",
    "description": "Only events that name this experiment. Absent or empty: all events.",
    "schema": {"type": "string", "pattern": r"^[^\u0000]*$"},
}

router = APIRouter(tags=["campaign analytics"], route_class=CampaignRoute, dependencies=[documented_key])


@dataclass(frozen=True)
class SummaryQuery:
    """A range of UTC days, both included (None: no bound), and an experiment (`ANY`: all events)."""

    first_day: date | None
    last_day: date | None
    experiment_id: str


@router.get(
    "/api/analytics/summary",
    summary="Events, users and conversions by variant",
    response_model=AnalyticsSummaryResponse,
    responses=campaign_failures(400),
    openapi_extra=query_parameters(START_DATE, END_DATE, EXPERIMENT_ID),
)
async def analytics_summary(request: Request) -> Response:
    """Return the totals and those of each variant; zeros, and no variants, where there are no events.

    Every event that was answered before the request is counted, today's included. Users are distinct over the range.
    """
    tenant_id = caller_of(request, "read").tenant_id
    parts = services(request)
    query = read_query(request, parts.clock())
    summary = await parts.database.run(lambda connection: read_summary(connection, tenant_id, query), tenant_id)
    return JsonAnswer(msgspec.json.encode(summary))


def read_query(request: Request, now: datetime) -> SummaryQuery:
    """Read the query of a request made at `now`. Raises CampaignError, with a message for each field that is wrong."""
    errors: list[str] = []
    first_day = _read_day(request, "startDate", errors)
    last_day = _read_day(request, "endDate", errors)
    experiment_id = _given_once(request, "experimentId", errors)
    if problem := text_problem(experiment_id):
        errors.append(f"experimentId {problem}")
    if not errors and first_day is not None:
        shown = "endDate" if last_day else "today, which endDate is if it is not given"
        last_day = last_day or now.astimezone(UTC).date()
        if first_day > last_day:
            errors.append(f"startDate must not be after {shown}")
        elif last_day - first_day >= timedelta(days=MAX_RANGE_DAYS):
            errors.append(f"startDate and endDate must span at most {MAX_RANGE_DAYS} days, both included")
    if errors:
        raise CampaignError(400, errors)
    return SummaryQuery(first_day, last_day, experiment_id)


async def read_summary(connection: AsyncConnection, tenant_id: str, query: SummaryQuery) -> dict[str, Any]:
    """Return the answer to a query, as of one state of the database."""
    cursor = await connection.execute(
        statement("campaign/summary"),
        {
            "tenant_id": tenant_id,
            "experiment_id": query.experiment_id,
            "first_day": query.first_day,
            "last_day": query.last_day,
        },
    )
    counts = {variant: numbers for variant, *numbers in await cursor.fetchall()}
    events, _, users, converted_users = counts.pop(ANY, (0, 0, 0, 0))
    return {
        "totalEvents": events,
        "uniqueUsers": users,
        "convertedUsers": converted_users,
        "convertedShare": share(converted_users, users),
        "variants": {variant: _variant(*numbers) for variant, numbers in counts.items()},
    }


def share(part: int, whole: int) -> float:
    """Return part / whole in thousandths, halves rounded up; 0 when there is no whole.

    Three decimals are what clients of the contract were answered: 45 of 215 is 0.209.
    """
    return 0.0 if whole == 0 else (2_000 * part + whole) // (2 * whole) / 1_000


def _variant(events: int, conversions: int, users: int, converted_users: int) -> dict[str, Any]:
    return {
        "events": events,
        "users": users,
        "conversions": conversions,
        "conversionRate": share(conversions, users),
        "convertedUsers": converted_users,
        "convertedShare": share(converted_users, users),
    }


def _read_day(request: Request, name: str, errors: list[str]) -> date | None:
    text = _given_once(request, name, errors)
    if not text:
        return None
    try:
        return parse_timestamp(text).date()
    except TimestampRangeError:
        errors.append(f"{name} must be from 1970-01-01 on and not later than 9999-12-31")
    except TimestampError:
        errors.append(f"{name} must be a valid ISO 8601 date string")
    return None


def _given_once(request: Request, name: str, errors: list[str]) -> str:
    given = request.query_params.getlist(name)
    if len(given) > 1:
        errors.append(f"{name} must be given once")
    return given[0] if given else ""
