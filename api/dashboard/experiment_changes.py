"""Changes that people make to experiments here, by the same functions as the HTTP API, and taking them back.

A change of several is known by one id, of which each experiment's entry in the log has its own (`change_ids`): so the
page after it can say what was done, and undo exactly that, from the log and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4, uuid5

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from starlette.requests import Request

from api.dashboard.visit import Visit
from api.errors import InvalidRequestError
from pipeline.experiments.definition import Status
from pipeline.experiments.lifecycle import MOVES, RefusedError
from pipeline.experiments.planning import Author
from pipeline.experiments.store import Edit, StaleError, UnknownExperimentError, change_experiment
from pipeline.statements import statement

OPERATOR = "dashboard"
MAX_SELECTED = 100
CHANGED_SINCE = "It was changed meanwhile, and stays as it is."
# What a change to a status is called, as an order and as what was done.
ORDERS: dict[str, Status] = {"pause": "PAUSED", "run": "RUNNING", "end": "ENDED"}
ORDER_NAMES = {"pause": "Pause", "run": "Run", "end": "End"}
DONE_NAMES: dict[str, str] = {"PAUSED": "paused", "RUNNING": "running", "ENDED": "ended", "DRAFT": "set back to draft"}


@dataclass(frozen=True)
class Made:
    """What a change did to the status of one experiment: `etag` is that of the revision it made.

    `is_latest`: nobody has changed it since.
    """

    experiment_id: str
    name: str
    before: Status
    after: Status
    etag: str
    is_latest: bool

    @property
    def can_be_undone(self) -> bool:
        """Whether the lifecycle leads back, and nothing else would be lost."""
        return self.is_latest and self.before in MOVES[self.after]


@dataclass(frozen=True)
class Done:
    """The changes that a page was led to with: their common id, how many were asked for, and those that were made."""

    change_id: UUID
    asked: int
    made: Sequence[Made]

    @property
    def text(self) -> str:
        """What was done, in a sentence."""
        if len(self.made) == 1:
            return f"{self.made[0].name} is {DONE_NAMES[self.made[0].after]} now"
        states = sorted({DONE_NAMES[one.after] for one in self.made})
        return f"{len(self.made)} experiments are {' or '.join(states)} now"

    @property
    def can_be_undone(self) -> bool:
        """Whether any of it can be taken back."""
        return any(one.can_be_undone for one in self.made)


def author_of(visit: Visit, change_id: UUID | None = None) -> Author:
    """Return who is at work, as the log names them: `dashboard`, or the id of the key they signed in with."""
    by = OPERATOR if visit.session.is_operator else (visit.session.key_id or OPERATOR)
    return Author(by, change_id or uuid4())


def change_ids(change_id: UUID, asked: int) -> list[UUID]:
    """Return the ids in the log of a change of several, as `store.change_statuses` makes them."""
    return [uuid5(change_id, str(position)) for position in range(asked)]


def done_in_query(request: Request) -> tuple[UUID, int] | None:
    """Return which change the query tells of; None for none, and for what no redirect of ours has said."""
    try:
        change_id, asked = UUID(request.query_params["done"]), int(request.query_params.get("of", "1"))
    except (KeyError, ValueError):
        return None
    return (change_id, asked) if 1 <= asked <= MAX_SELECTED else None


def done_in_form(change_id: str, asked: str) -> tuple[UUID, int]:
    """Return which change a form names. Raises InvalidRequestError."""
    try:
        found = UUID(change_id), int(asked)
    except ValueError as error:
        raise InvalidRequestError("This form names no change.") from error
    if not 1 <= found[1] <= MAX_SELECTED:
        raise InvalidRequestError("This form names no change.")
    return found


async def read_done(connection: AsyncConnection, tenant_id: str, change: tuple[UUID, int] | None) -> Done | None:
    """Return what a change did; None when it is none of this tenant's, or did nothing to a status."""
    if change is None:
        return None
    change_id, asked = change
    wanted = {"tenant_id": tenant_id, "change_ids": change_ids(change_id, asked)}
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement("dashboard/changes_made"), wanted)
        rows = await cursor.fetchall()
    made = [_made(row) for row in rows if "status" in row["changes"] and row["changes"]["status"]["before"]]
    return Done(change_id, asked, made) if made else None


async def undo(connection: AsyncConnection, tenant_id: str, done: Done, author: Author) -> list[tuple[Made, str]]:
    """Give the experiments of a change their statuses back; return those that could not be, each with the reason.

    What somebody has changed since stays as it is.
    """
    left = []
    for made, change_id in zip(done.made, change_ids(author.change_id, len(done.made)), strict=True):
        own = Author(author.by, change_id)
        try:
            await change_experiment(
                connection, tenant_id, made.experiment_id, _back(made), own, allows=made.etag.__eq__
            )
        except StaleError:
            left.append((made, CHANGED_SINCE))
        except (RefusedError, UnknownExperimentError) as error:
            left.append((made, str(error)))
    return left


def _back(made: Made) -> Edit:
    return lambda present: present.with_status(made.before)


def _made(row: dict[str, Any]) -> Made:
    status = row["changes"]["status"]
    return Made(
        row["experiment_id"],
        row["name"] or row["experiment_id"],
        status["before"],
        status["after"],
        f'"{row["revision"]}"',
        row["is_latest"],
    )
