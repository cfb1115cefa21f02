"""The spool of one process: a durable queue on this machine's disk, for what cannot go to Postgres at once.

Requests that wait together are written as one group (one row, one sync), by one thread. A process that never spools
makes no file. What a process that ended left behind is adopted by another: see `files`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from api import telemetry
from api.errors import OverloadedError
from api.ingestion.delivery import Delivery
from api.ingestion.spool_errors import SpoolFullError, SpoolSealedError, SpoolUnavailableError
from api.ingestion.spool_file import SpoolFile
from api.request_log import describe

__all__ = ["Spool", "SpoolFullError", "SpoolUnavailableError"]

QUEUE_BYTES = 32 * 2**20
GROUP_BYTES = 4 * 2**20
GROUP_DELIVERIES = 1_000
DELIVERY_OVERHEAD_BYTES = 500
PROBLEM_SECONDS = 5.0
_ANSWERS = (SpoolFullError, SpoolUnavailableError)

_Waiting = tuple[Delivery, "asyncio.Future[None]"]


class Spool:
    """Durable queue of one process, and the files of ended processes that it adopted.

    Any thread may read its numbers. `arrived` is set whenever there is something new to drain. One thread drains:

        spool.arrived.wait(seconds)
        spool.arrived.clear()
        spool.adopt()
        for file in spool.files():
            while groups := file.read(file.forgotten):
                ...  # store them in Postgres, with a receipt of (file.spool_id, groups[-1].seq) in the same transaction
                spool.forget(file, groups[-1].seq)
            spool.release(file)
    """

    def __init__(
        self,
        folder: Path,
        log: Any,  # noqa: ANN401 - structlog's own type
        *,
        max_bytes: int,
        queue_bytes: int = QUEUE_BYTES,
    ) -> None:
        self.arrived = threading.Event()
        self._folder = folder
        self._log = log
        self._max_bytes = max_bytes
        self._queue_bytes = queue_bytes
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._wake = threading.Event()
        self._closing = False
        self._files_change = threading.Lock()
        self._own: SpoolFile | None = None
        self._others: tuple[SpoolFile, ...] = ()
        self._given_up_damaged = 0
        self._drained = 0
        self._adoption_problem = ""
        self._appended = 0
        self._failure: tuple[float, str] | None = None
        self._thread = threading.Thread(target=self._write_forever, name="spool", daemon=True)

    def start(self) -> None:
        """Start the writer; it makes a file when there is something to write."""
        self._thread.start()

    def close(self, timeout: float = 20.0) -> None:
        """Refuse what comes, write what waits, and leave what is in the files to whoever adopts them.

        To be called when nobody drains any more; returns after `timeout` seconds at the latest. Empty files are
        removed. Idempotent.
        """
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        if not self._thread.is_alive():
            for file in self.files():
                self._give_up(file)
            _answer([*self._waiting], OverloadedError)  # accepted while the writer ended

    async def keep(self, delivery: Delivery) -> None:
        """Return once the delivery is durable on this machine.

        Raises OverloadedError when too much waits to be written, SpoolFullError when the files hold as much as they
        may, SpoolUnavailableError when they cannot be written: then nothing of it was kept.
        """
        size = len(delivery.body) + DELIVERY_OVERHEAD_BYTES
        if self._closing or self._waiting_bytes + size > self._queue_bytes:
            raise OverloadedError
        answer = asyncio.get_running_loop().create_future()
        self._waiting_bytes += size
        self._waiting.append((delivery, answer))
        if not self._wake.is_set():
            self._wake.set()
        try:
            await answer
        finally:
            self._waiting_bytes -= size  # on the loop's thread, as above

    def files(self) -> list[SpoolFile]:
        """Return the files of this process: those adopted or replaced first, in the order in which they came."""
        with self._files_change:
            return [*self._others, *([self._own] if self._own else [])]

    def adopt(self) -> int:
        """Take over the files of processes that ended, and return how many. What cannot be opened now is left."""
        adopted = 0
        try:
            while file := SpoolFile.adopt(self._folder):
                self._log.info("spool adopted", spool=str(file.spool_id), deliveries=file.entries, bytes=file.bytes)
                with self._files_change:
                    self._others = (*self._others, file)
                adopted += 1
        except SpoolUnavailableError as error:
            problem = str(error.__cause__)
            if problem != self._adoption_problem:
                self._log.error("spool not adopted", **describe(error.__cause__ or error))
            self._adoption_problem = problem
        if adopted:
            self.arrived.set()
        return adopted

    def forget(self, file: SpoolFile, up_to_seq: int) -> None:
        """Let go of a file's groups up to this one: they are stored in Postgres."""
        self._drained += file.forget(up_to_seq)

    def release(self, file: SpoolFile) -> None:
        """Give up a file of which nothing is left to read: removed, or set aside when it is damaged.

        The file that is being written stays, unless it is worn: then the next group goes to a new one. Harmless for a
        file that is not drained.
        """
        if file is self._own and file.worn:
            file.seal()
            self._replace(file)
        if file is not self._own and file.drained:
            self._give_up(file)

    @property
    def problem(self) -> str | None:
        """Why the last write failed, if that was in the last seconds; what is older is worth another try."""
        failure = self._failure
        return failure[1] if failure and time.monotonic() - failure[0] < PROBLEM_SECONDS else None

    @property
    def entries(self) -> int:
        """Deliveries in the files of this process."""
        return sum(file.entries for file in self.files())

    @property
    def bytes(self) -> int:
        """Bytes of the deliveries in the files of this process."""
        return sum(file.bytes for file in self.files())

    @property
    def oldest_received_at(self) -> datetime | None:
        """Receipt of the oldest delivery in the files of this process."""
        return min((moment for file in self.files() if (moment := file.oldest_received_at)), default=None)

    @property
    def damaged(self) -> int:
        """Groups, and files as such, that could not be read since the start of this process."""
        return self._given_up_damaged + sum(file.damaged for file in self.files())

    @property
    def appended(self) -> int:
        """Deliveries written since the start of this process."""
        return self._appended

    @property
    def drained(self) -> int:
        """Deliveries let go since the start of this process."""
        return self._drained

    def _write_forever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing  # looked at first: what was accepted before is written below
            while group := self._take_group():
                self._write(group)
            if closing:
                return

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        while self._waiting and size < GROUP_BYTES and len(group) < GROUP_DELIVERIES:
            delivery, answer = self._waiting.popleft()
            if not answer.done():  # else nobody waits any more
                group.append((delivery, answer))
                size += len(delivery.body)
        return group

    def _write(self, group: list[_Waiting]) -> None:
        started = time.perf_counter()
        try:
            self._append([delivery for delivery, _ in group])
        except Exception as error:
            self._note_failure(error, len(group))
            _answer(group, type(error) if isinstance(error, _ANSWERS) else SpoolUnavailableError)
            return
        self._appended += len(group)
        telemetry.spool_appended(len(group), time.perf_counter() - started)
        if self._failure:
            self._failure = None
            self._log.info("spool works again")
        _answer(group, None)
        self.arrived.set()

    def _append(self, deliveries: list[Delivery]) -> None:
        """Append to the process' own file; to a new one if there is none, or its reader sealed it a moment ago."""
        while True:
            file = self._own
            if file is None:
                file = SpoolFile.create(self._folder)
                with self._files_change:
                    self._own = file
            try:
                file.append(deliveries, self._max_bytes - self.bytes)
                return
            except SpoolSealedError:
                pass
            finally:
                if file.sealed:
                    self._replace(file)

    def _replace(self, file: SpoolFile) -> None:
        """Append no more to a file; it is read to its end as the adopted ones are."""
        with self._files_change:
            if self._own is file:
                self._own = None
                self._others = (*self._others, file)
        self.arrived.set()

    def _give_up(self, file: SpoolFile) -> None:
        with self._files_change:
            self._own = None if self._own is file else self._own
            self._others = tuple(other for other in self._others if other is not file)
        damaged = file.damaged
        aside = file.close()
        self._given_up_damaged += damaged
        if aside is not None:
            telemetry.spool_damaged(damaged)
            self._log.error(
                "spool damaged: what could be read is stored, the rest is set aside", groups=damaged, file=str(aside)
            )

    def _note_failure(self, error: Exception, deliveries: int) -> None:
        """Log the first of a row of failures; the rest is counted by the answers."""
        cause = error.__cause__ or error
        problem = f"{type(cause).__name__}: {cause}"
        if self._failure is None or self._failure[1] != problem:
            self._log.error("spool not written", deliveries=deliveries, **describe(cause))
        self._failure = time.monotonic(), problem


def _answer(group: list[_Waiting], failure: type[Exception] | None) -> None:
    """Wake all who wait, with one call for each event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, answer in group:
        by_loop.setdefault(answer.get_loop(), []).append(answer)
    for loop, answers in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_settle, answers, failure)


def _settle(answers: list[asyncio.Future[None]], failure: type[Exception] | None) -> None:
    for answer in answers:
        if answer.done():
            continue
        if failure is None:
            answer.set_result(None)
        else:
            answer.set_exception(failure())
