"""Settles what a group of users is assigned to: what is stored stays, what is new follows the rules, and all agree.

Two statements for a whole group: one reads what its users have, one adds what they lack. Every writer of assignments
inserts and updates in key order, so that no two can deadlock.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from psycopg import AsyncConnection, errors

from api import telemetry
from api.assignment.decision import Answer, Subject, decide
from api.assignment.experiment_cache import ExperimentCache
from pipeline.statements import statement

# Each round either settles every request or lost to another process; that many losses in a row do not happen.
MAX_ROUNDS = 10

Row = dict[str, object]


class LockedAssignmentsError(Exception):
    """Another transaction holds one of the group's assignments for longer than a group waits."""


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks, and when."""

    subject: Subject
    now: datetime

    @property
    def user(self) -> str:
        """The id of the user who asks."""
        return self.subject.anonymous_user_id


async def settle(
    connection: AsyncConnection, cache: ExperimentCache, tenant_id: str, questions: Sequence[Question]
) -> list[Answer | None]:
    """Return an answer for each question of one tenant's users, having stored what is new.

    It is None where experiments changed at every look. Idempotent: what was stored by an attempt that failed later is
    found by the next. `connection` must be in autocommit mode, so that each read sees what other requests stored.
    Raises LockedAssignmentsError.
    """
    answers: list[Answer | None] = [None] * len(questions)
    unsettled: Sequence[int] = range(len(questions))
    try:
        for _ in range(MAX_ROUNDS):
            unsettled = await _settle_once(
                connection, cache, tenant_id, questions, answers=answers, unsettled=unsettled
            )
            if not unsettled:
                break
    except errors.LockNotAvailable as error:
        raise LockedAssignmentsError from error
    return answers


async def _settle_once(
    connection: AsyncConnection,
    cache: ExperimentCache,
    tenant_id: str,
    questions: Sequence[Question],
    *,
    answers: list[Answer | None],
    unsettled: Sequence[int],
) -> Sequence[int]:
    """Answer what is unsettled; return what still is, since another process was faster with some assignment."""
    stored, running = await cache.read(connection, tenant_id, {questions[index].user for index in unsettled})
    new: dict[tuple[str, str], Row] = {}
    gone: dict[tuple[str, str], Row] = {}
    changed: list[int] = []
    for index in unsettled:
        question = questions[index]
        known = stored.get(question.user, {})
        decision = decide(running, known, question.subject, question.now)
        answers[index] = decision.answer
        if not (decision.new or decision.gone):
            continue
        changed.append(index)
        # The variant follows from user and experiment alone: a user who asks twice in a group gets the same twice.
        for rows, chosen in ((new, decision.new), (gone, decision.gone)):
            for experiment_id, variant_id in chosen.items():
                rows.setdefault(
                    (question.user, experiment_id),
                    {
                        "anonymous_user_id": question.user,
                        "experiment_id": experiment_id,
                        "variant_id": variant_id,
                        "gone_variant_id": known.get(experiment_id),
                        "assigned_at": question.now,
                    },
                )
    added = not new or await _store(connection, "api/add_assignments", tenant_id, new.values())
    replaced = not gone or await _store(connection, "api/replace_assignments", tenant_id, gone.values())
    if added and replaced:
        telemetry.assignments(len(changed), len(unsettled) - len(changed))
        return ()
    for index in changed:
        answers[index] = None
    return changed


async def _store(connection: AsyncConnection, name: str, tenant_id: str, rows: Collection[Row]) -> bool:
    """Store rows by a statement; false when it found one of them done or changed by somebody else."""
    # One JSON text costs psycopg a tenth of what lists cost.
    assignments = msgspec.json.encode(list(rows)).decode()
    cursor = await connection.execute(statement(name), {"tenant_id": tenant_id, "assignments": assignments})
    return cursor.rowcount == len(rows)
