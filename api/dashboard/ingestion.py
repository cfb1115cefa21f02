"""GET /ingestion: what came in, what became of it, how late it was, what waits; and dead letters with their replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fastapi import APIRouter
from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row
from starlette.requests import Request
from starlette.responses import Response

from api.dashboard.answers import own_place, redirect
from api.dashboard.asking import ask
from api.dashboard.experiment_status import with_parameters
from api.dashboard.figures import DailyValues, daily_values
from api.dashboard.ingestion_figures import (
    Arrival,
    LedgerDay,
    lag_chart,
    lag_table,
    lateness_map,
    lateness_table,
    ledger_chart,
    ledger_table,
    volume_table,
)
from api.dashboard.letter_samples import SAMPLE_BYTES, sample
from api.dashboard.page_route import PageRoute
from api.dashboard.tables import Cell, Column, Table
from api.dashboard.visit import Visit, visit_of
from api.errors import InvalidRequestError
from api.json_text import text_problem
from api.metrics.queries import read_days
from pipeline.statements import statement

PLACE = "/ingestion"
LETTERS = ask("dead_letters")
REPLAY = "/ingestion/replay"
SHOWN_LETTERS = 50
SHOWN_REASONS = 10
# A replay must end while somebody waits for the page: the rest is for the next click.
REPLAYED_AT_ONCE = 1_000
MAX_REASON_CHARACTERS = 600

router = APIRouter(include_in_schema=False, route_class=PageRoute)


@dataclass(frozen=True)
class Letter:
    """A dead letter as it is shown: when it came, why it was refused, and a sample that names nobody."""

    id: int
    received_at: datetime
    protocol: str
    reason: str
    sample: str


@dataclass(frozen=True)
class Reason:
    """Why letters were refused: how many, and the newest of them."""

    text: str
    letters: int
    newest: Letter


@dataclass(frozen=True)
class _Read:
    days: dict[str, Any]
    ledger: Sequence[LedgerDay]
    arrivals: Sequence[Arrival]
    counted: tuple[int, datetime] | None
    reasons: Sequence[Reason]
    letters: Sequence[Letter]
    matching: int


@router.get(PLACE)
async def ingestion(request: Request) -> Response:
    """Show the page; `reason` shows the letters of one reason alone."""
    visit = visit_of(request)
    reason = _reason(request.query_params.get("reason"))
    found = await visit.read(lambda connection: _read(connection, visit, reason))
    values = daily_values(visit.window, found.days)
    queue = await _queue(visit)
    return visit.page(
        "ingestion.html",
        title="Ingestion",
        tables=(
            ledger_table(found.ledger, visit.window),
            lateness_table(found.arrivals, visit.window),
            volume_table(values),
            reasons_table(found.reasons),
            letters_table(found.letters),
        ),
        numbers={"lag": partial(lag_table, values)},
        has_data=bool(found.ledger or found.arrivals or found.matching),
        totals={name: sum(getattr(day, name) for day in found.ledger) for name in TOTALS},
        unbalanced=[day for day in found.ledger if not day.is_balanced],
        ledger=ledger_chart(found.ledger, visit.window),
        lag=lag_chart(values),
        lag_latest=values.latest("ingestion_lag_p50"),
        lag_tail=values.latest("ingestion_lag_p95"),
        heat=lateness_map(found.arrivals, visit.window),
        counted=found.counted,
        reasons=found.reasons,
        letters=found.letters,
        matching=found.matching,
        reason=reason,
        queue=queue,
        may_change=visit.may("manage"),
        at_once=REPLAYED_AT_ONCE,
        here=visit.link(replayed=None, stayed=None, stored=None, duplicate=None),
        said=_said(request),
        asks=_asks(visit, values),
    )


def _asks(visit: Visit, values: DailyValues) -> dict[str, str | None]:
    """Return where the numbers of the cards come from."""
    counts = {name: ask(f"events_{name}", days=visit.window.days) for name in ("stored", "duplicate", "rejected")}
    yesterday = visit.window.last - timedelta(days=1)
    lags = {"lag": "ingestion_lag_p50", "lag_tail": "ingestion_lag_p95"}
    return counts | {
        name: None if values.latest(metric) is None else ask(metric, day=yesterday) for name, metric in lags.items()
    }


@router.post(REPLAY)
async def replay_letters(request: Request) -> Response:
    """Replay the letters `letter`, or with `every` the oldest of the tenant, of one `reason` or of all."""
    visit = visit_of(request)
    form = await visit.form()
    visit.require("manage")
    reason = _reason(form.get("reason") or None)
    ids = await _chosen(visit, form.all("letter"), reason, every=form.get("every") == "yes")
    if not ids:
        raise InvalidRequestError("No letter was selected, or it is gone: somebody else replayed it.")
    # What reads events of every protocol is loaded by who replays.
    from api.ingestion.replay import replay  # noqa: PLC0415
    from pipeline.ingestion.dead_letters import Selection  # noqa: PLC0415

    selection = Selection(tuple(ids), visit.tenant_id)
    done = await visit.services.owner.run(lambda connection: replay(connection, selection, clock=visit.services.clock))
    place = own_place(form.get("next"))
    told = {
        "replayed": done.replayed, "stored": done.stored, "duplicate": done.duplicate, "stayed": len(done.refused),
    }  # fmt: skip
    return redirect(request, with_parameters(place if place.startswith(PLACE) else PLACE, **told))


TOTALS = ("received", "stored", "duplicate", "rejected", "letters", "waiting")


async def _read(connection: AsyncConnection, visit: Visit, reason: str | None) -> _Read:
    window = {"tenant_id": visit.tenant_id, "first_day": visit.window.first, "last_day": visit.window.last}
    own = {"tenant_id": visit.tenant_id, "sample_bytes": SAMPLE_BYTES}
    days = await read_days(connection, visit.tenant_id, visit.window)
    async with connection.cursor(row_factory=class_row(LedgerDay)) as cursor:
        await cursor.execute(statement("dashboard/ledger_days"), window)
        ledger = await cursor.fetchall()
    arrived = await connection.execute(statement("dashboard/arrivals"), window)
    arrivals: list[Arrival] = [(row[0], row[1], row[2]) for row in await arrived.fetchall()]
    progress = await (await connection.execute(statement("dashboard/arrival_progress"))).fetchone()
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement("dashboard/letter_reasons"), {**own, "row_limit": SHOWN_REASONS})
        reasons = [Reason(row["reason"], row["letters"], _letter(row)) for row in await cursor.fetchall()]
        await cursor.execute(statement("dashboard/letters"), {**own, "reason": reason, "row_limit": SHOWN_LETTERS})
        rows = await cursor.fetchall()
    return _Read(
        days,
        ledger,
        arrivals,
        None if progress is None else (progress[0], progress[1]),
        reasons,
        [_letter(row) for row in rows],
        rows[0]["matching"] if rows else 0,
    )


def reasons_table(reasons: Sequence[Reason]) -> Table:
    """Return the most frequent reasons."""
    columns = (
        Column("reason", "Reason"),
        Column("letters", "Letters", "count"),
        Column("newest", "Newest", "moment"),
        Column("protocol", "Protocol"),
        Column("sample", "Newest, masked"),
    )
    rows = [
        [Cell(reason.text), Cell(reason.letters, LETTERS), Cell(reason.newest.received_at),
         Cell(reason.newest.protocol), Cell(reason.newest.sample)]
        for reason in reasons
    ]  # fmt: skip
    return Table("reasons", "Why events were refused", columns, rows)


def letters_table(letters: Sequence[Letter]) -> Table:
    """Return dead letters, the newest first."""
    columns = (
        Column("id", "Letter", "count"),
        Column("received", "Received", "moment"),
        Column("protocol", "Protocol"),
        Column("reason", "Reason"),
        Column("sample", "Event, masked"),
    )
    rows = [
        [Cell(one.id), Cell(one.received_at), Cell(one.protocol), Cell(one.reason), Cell(one.sample)] for one in letters
    ]
    return Table("letters", "Dead letters", columns, rows)


async def _chosen(visit: Visit, given: Sequence[str], reason: str | None, *, every: bool) -> list[int]:
    """Return the ids of the letters that a form means."""
    if not every:
        if len(given) > REPLAYED_AT_ONCE or not all(text.isascii() and text.isdecimal() for text in given):
            raise InvalidRequestError("This form names no letters.")
        return [int(text) for text in given if len(text) < 19]
    wanted = {"tenant_id": visit.tenant_id, "reason": reason, "row_limit": REPLAYED_AT_ONCE}

    async def oldest(connection: AsyncConnection) -> list[int]:
        rows = await (await connection.execute(statement("dashboard/letters_to_replay"), wanted)).fetchall()
        return [row[0] for row in rows]

    return await visit.services.database.run(oldest, visit.tenant_id)


async def _queue(visit: Visit) -> dict[str, Any] | None:
    """Return what waits in this process and for the lake; for the operator alone, since tenants share it."""
    if not visit.session.is_operator:
        return None
    readiness = await visit.services.operations.readiness()
    return {"state": readiness, "export_lag": await visit.services.operations.export_lag()}


def _letter(row: dict[str, Any]) -> Letter:
    return Letter(row["id"], row["received_at"], row["protocol"], row["reason"], sample(bytes(row["event"])))


def _reason(text: str | None) -> str | None:
    if not text:
        return None
    if len(text) > MAX_REASON_CHARACTERS or text_problem(text):
        raise InvalidRequestError("Query parameter 'reason' must be that of a letter.")
    return text


def _said(request: Request) -> str:
    """Return what a replay did, from the numbers that it led here with."""
    numbers = {}
    for name in ("replayed", "stored", "duplicate", "stayed"):
        text = request.query_params.get(name, "")
        if not (text.isascii() and text.isdecimal() and len(text) <= 6):
            return ""
        numbers[name] = int(text)
    return (
        f"{numbers['replayed']} replayed: {numbers['stored']} events stored, {numbers['duplicate']} duplicates;"
        f" {numbers['stayed']} refused again"
    )
