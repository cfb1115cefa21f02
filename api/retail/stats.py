"""Statistics of a retail site: what a request asks for, and the answer out of the counts kept beside the events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Any

import msgspec
from psycopg import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from api.answers import JsonAnswer
from api.errors import ApiError
from api.json_text import text_problem
from api.retail.visits import MAX_SITE_ID_CHARACTERS
from pipeline.statements import statement

# The counts over all time are those of this day.
WHOLE_HISTORY = "-infinity"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class StatsQueryError(ApiError):
    """The query is wrong: 400 in the retail protocol's shape."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)

    def response(self) -> Response:
        """Return the answer to send."""
        return JsonAnswer(msgspec.json.encode({"error": self.message}), self.status)


@dataclass(frozen=True)
class StatsQuery:
    """A site, and a UTC day as `YYYY-MM-DD` (None: the whole history)."""

    site_id: str
    day: str | None


def read_query(request: Request) -> StatsQuery:
    """Read `site_id` and `date`; an empty date counts as absent. Raises StatsQueryError."""
    site_id = _given_once(request, "site_id")
    if not site_id:
        raise StatsQueryError("site_id is required")
    if len(site_id) > MAX_SITE_ID_CHARACTERS:
        raise StatsQueryError(f"site_id must be at most {MAX_SITE_ID_CHARACTERS} characters")
    problem = text_problem(site_id)
    if problem:
        raise StatsQueryError(f"site_id {problem}")
    day = _given_once(request, "date") or None
    if day is not None and not _is_day(day):
        raise StatsQueryError("date must be a valid date, YYYY-MM-DD")
    return StatsQuery(site_id, day)


async def read_stats(connection: AsyncConnection, tenant_id: str, query: StatsQuery) -> dict[str, Any]:
    """Return the answer to a query about a tenant's site, as of one state of the database."""
    cursor = await connection.execute(
        statement("retail/site_stats"),
        {"tenant_id": tenant_id, "site_id": query.site_id, "day": query.day or WHOLE_HISTORY},
    )
    row = await cursor.fetchone()
    assert row is not None, "the statement has a row for every site"
    total_views, unique_users, top_paths = row
    return {
        "site_id": query.site_id,
        "date": query.day,
        "total_views": total_views,
        "unique_users": unique_users,
        "top_paths": top_paths,
    }


def _given_once(request: Request, parameter: str) -> str:
    given = request.query_params.getlist(parameter)
    if len(given) > 1:
        raise StatsQueryError(f"{parameter} must be given once")
    return given[0] if given else ""


def _is_day(text: str) -> bool:
    try:
        return _DAY.fullmatch(text) is not None and bool(date.fromisoformat(text))
    except ValueError:
        return False
