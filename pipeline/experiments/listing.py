"""Lists of experiments: filtered, sorted and cut into pages by Postgres.

A page goes on after the last row of the one before (its sort key and id), so that experiments which come or go
meanwhile neither hide nor repeat others. Only a field that changes moves an experiment: `createdAt` never does.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from pipeline.experiments.definition import Status, StoredExperiment
from pipeline.experiments.json_values import text_problem
from pipeline.statements import statement

SORTS = ("createdAt", "updatedAt", "name", "status", "startDate", "endDate")
DEFAULT_SORT = "-createdAt"
DEFAULT_LIMIT, MAXIMUM_LIMIT = 100, 200
MAX_CURSOR = 4_000


class CursorError(ValueError):
    """The text is no cursor that a list of this order gave."""


@dataclass(frozen=True)
class Place:
    """Where a page ended: the last row's sort key and id."""

    key: str
    experiment_id: str


@dataclass(frozen=True)
class ListQuery:
    """Which experiments, in which order, from where. `sort` is one of SORTS, with a minus for descending."""

    statuses: Sequence[Status] | None = None
    words: str | None = None
    sort: str = DEFAULT_SORT
    limit: int = DEFAULT_LIMIT
    after: Place | None = None


@dataclass(frozen=True)
class Page:
    """Experiments, how many there are over all pages, and the cursor of the next page; None at the end."""

    experiments: tuple[StoredExperiment, ...]
    total: int
    next_cursor: str | None


async def list_experiments(connection: AsyncConnection, tenant_id: str, query: ListQuery) -> Page:
    """Return one page of a tenant's experiments; `total` is as of a moment later."""
    wanted: dict[str, Any] = {
        "tenant_id": tenant_id,
        "statuses": query.statuses and list(query.statuses),
        "words": query.words,
        "sort": query.sort.removeprefix("-"),
        "descending": query.sort.startswith("-"),
        "after_key": query.after and query.after.key,
        "after_id": query.after and query.after.experiment_id,
        "row_limit": query.limit + 1,
    }
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement("experiments/list"), wanted)
        rows = await cursor.fetchall()
        await cursor.execute(statement("experiments/count"), wanted)
        counted = await cursor.fetchone()
    assert counted is not None, "a count has a row"
    shown = rows[: query.limit]
    last = Place(shown[-1]["sort_key"], shown[-1]["experiment_id"]) if len(rows) > query.limit else None
    experiments = tuple(StoredExperiment.of_row(row) for row in shown)
    return Page(experiments, counted["total"], encode_cursor(query.sort, last) if last else None)


def encode_cursor(sort: str, place: Place) -> str:
    """Write a place in a list of an order as text that is safe in a URL."""
    content = json.dumps([sort, place.key, place.experiment_id], ensure_ascii=False)
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def decode_cursor(sort: str, text: str) -> Place:
    """Read a cursor of a list in that order. Raises CursorError."""
    try:
        if len(text) > MAX_CURSOR:
            raise CursorError
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        document = json.loads(content.decode())
    except (ValueError, RecursionError, binascii.Error) as error:
        raise CursorError("no cursor") from error
    if not isinstance(document, list) or len(document) != 3 or not all(isinstance(part, str) for part in document):
        raise CursorError("no cursor")
    given_sort, key, experiment_id = document
    if given_sort != sort or text_problem(key + experiment_id):
        raise CursorError("a cursor of another list")
    return Place(key, experiment_id)
