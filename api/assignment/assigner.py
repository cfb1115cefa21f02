"""Serves the assignment requests of one process: those that wait together are settled together.

Tenants take turns: a group is of one tenant. Nobody waits longer than `ANSWER_SECONDS`: when the database does not
answer by then, all who wait learn it. A group that fails for a reason of one of its users is settled user by user.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from api.assignment.decision import Answer, Subject
from api.assignment.experiment_cache import ExperimentCache
from api.assignment.settlement import LockedAssignmentsError, Question, settle
from api.database import Database
from api.errors import DatabaseUnavailableError, OverloadedError

GROUPS_AT_ONCE = 2
GROUP_SIZE = 256
MAX_WAITING = 4_096
ANSWER_SECONDS = 1.8
SINGLES_AT_ONCE = 2


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    question: Question
    answer: asyncio.Future[Answer]
    deadline: float

    def resolve(self, outcome: Answer | Exception | None) -> None:
        """Wake the request up, if it is still there."""
        if self.answer.done():
            return
        if isinstance(outcome, Answer):
            self.answer.set_result(outcome)
        else:
            self.answer.set_exception(outcome or DatabaseUnavailableError())


class Assigner:
    """Settles assignments in groups, a few at once; belongs to one event loop."""

    def __init__(self, database: Database, experiments: ExperimentCache, *, max_waiting: int = MAX_WAITING) -> None:
        self._database = database
        self._experiments = experiments
        self._max_waiting = max_waiting
        self._waiting: dict[str, deque[_Waiting]] = {}
        self._in_line = 0
        self._groups = 0
        self._alone = 0
        self._single = asyncio.Semaphore(SINGLES_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()

    async def assign(self, tenant_id: str, subject: Subject, now: datetime) -> Answer:
        """Return the assignments of a tenant's user once they are committed; asking again gives the same.

        Raises DatabaseUnavailableError when they could not be settled within 1.8 s, OverloadedError when too many wait.
        """
        if self._in_line + self._alone >= self._max_waiting:
            raise OverloadedError
        loop = asyncio.get_running_loop()
        waiting = _Waiting(Question(subject, now), loop.create_future(), loop.time() + ANSWER_SECONDS)
        self._waiting.setdefault(tenant_id, deque()).append(waiting)
        self._in_line += 1
        if self._groups < GROUPS_AT_ONCE:
            self._groups += 1
            self._spawn(self._settle_groups())
        return await waiting.answer

    async def close(self) -> None:
        """Return when everybody who waits has an answer."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _settle_groups(self) -> None:
        """Settle one group after the other until nobody waits."""
        try:
            while self._waiting:
                tenant_id, group = self._take_group()
                if group:
                    await self._settle_group(tenant_id, group)
        finally:
            self._groups -= 1

    def _take_group(self) -> tuple[str, list[_Waiting]]:
        """Take those who wait of the tenant whose turn it is; it goes to the end of the line if some are left."""
        tenant_id = next(iter(self._waiting))
        line = self._waiting.pop(tenant_id)
        group: list[_Waiting] = []
        while line and len(group) < GROUP_SIZE:
            waiting = line.popleft()
            self._in_line -= 1
            if not waiting.answer.done():
                group.append(waiting)
        if line:
            self._waiting[tenant_id] = line
        return tenant_id, group

    def _give_up(self) -> None:
        """Tell everybody in line that the database is away."""
        for line in self._waiting.values():
            for waiting in line:
                waiting.resolve(DatabaseUnavailableError())
        self._waiting.clear()
        self._in_line = 0

    async def _settle_group(self, tenant_id: str, group: Sequence[_Waiting]) -> None:
        try:
            await self._settle(tenant_id, group)
        except DatabaseUnavailableError:
            # Those behind them learn it now rather than one attempt after the other.
            for waiting in group:
                waiting.resolve(DatabaseUnavailableError())
            self._give_up()
        except Exception as error:
            if len(group) == 1 and not isinstance(error, LockedAssignmentsError):
                group[0].resolve(error)
                return
            self._alone += len(group)
            for waiting in group:
                self._spawn(self._settle_alone(tenant_id, waiting))

    async def _settle_alone(self, tenant_id: str, waiting: _Waiting) -> None:
        """Settle one request of a group that failed, for as long as it has time."""
        now: Callable[[], float] = asyncio.get_running_loop().time
        try:
            while not waiting.answer.done():
                async with self._single:
                    if now() >= waiting.deadline:
                        raise DatabaseUnavailableError
                    try:
                        await self._settle(tenant_id, [waiting])
                    except LockedAssignmentsError:
                        continue
        except Exception as error:
            waiting.resolve(error)
        finally:
            self._alone -= 1

    async def _settle(self, tenant_id: str, group: Sequence[_Waiting]) -> None:
        questions = [waiting.question for waiting in group]
        seconds = group[0].deadline - asyncio.get_running_loop().time()
        answers = await self._database.run(
            lambda connection: settle(connection, self._experiments, tenant_id, questions), tenant_id, seconds=seconds
        )
        for waiting, answer in zip(group, answers, strict=True):
            waiting.resolve(answer)
