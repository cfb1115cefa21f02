"""Looks at the database for those who watch this process: is it there, and does the export follow?

Looking never takes longer than a second, also when the server hangs, nor does it happen more often than every two
seconds or twice at a time. It uses a connection of its own: what it finds does not depend on how busy the pools are.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from pipeline.clock import Clock
from pipeline.database import connect
from pipeline.statements import statement

LOOK_SECONDS = 1.0
KEPT_SECONDS = 2.0
CONNECT_SECONDS = 2
GIVE_UP_SECONDS = 5.0
IDLE_SECONDS = 60.0


@dataclass(frozen=True)
class DatabaseState:
    """What a look at a database found, times in seconds.

    `export_lag` is how long the oldest event has waited that the lake does not have, 0 when it has all of them, and
    None when the lake could not be read. `oldest_transaction` is the age of the oldest transaction that holds back
    the export, `idle_transactions` the number of sessions that do so without doing anything.
    """

    oldest_transaction: float
    idle_transactions: int
    export_lag: float | None


class DatabaseProbe:
    """Looks at one database, on behalf of everybody in this process who asks at the same time."""

    def __init__(self, database_url: str | None, lake: Path, clock: Clock) -> None:
        self._database_url = database_url
        self._lake = lake
        self._clock = clock
        self._look: asyncio.Task[DatabaseState | None] | None = None
        self._started = 0.0

    async def state(self) -> DatabaseState | None:
        """Return what the database is like, as of at most two seconds ago; None when it does not answer in time."""
        if self._database_url is None:
            return None
        if self._look is None or (self._look.done() and time.monotonic() > self._started + KEPT_SECONDS):
            self._started = time.monotonic()
            self._look = asyncio.create_task(asyncio.to_thread(self._look_at, self._database_url))
        await asyncio.wait({self._look}, timeout=LOOK_SECONDS)
        return self._look.result() if self._look.done() else None

    def _look_at(self, database_url: str) -> DatabaseState | None:
        try:
            with connect(
                database_url, application="tidemark-probe", autocommit=True, connect_seconds=CONNECT_SECONDS
            ) as connection:
                connection.deadline = time.monotonic() + GIVE_UP_SECONDS
                row = connection.execute(
                    statement("operations/database_state"), {"idle_seconds": IDLE_SECONDS}
                ).fetchone()
                assert row is not None
                oldest, idle = row
                return DatabaseState(oldest, idle, self._export_lag(connection))
        except psycopg.Error:
            return None

    def _export_lag(self, connection: psycopg.Connection) -> float | None:
        exported = self._exported()
        if exported is None:
            return None
        watermark, moment = exported
        row = connection.execute(statement("operations/oldest_pending_event"), {"exported": watermark}).fetchone()
        if row is None:
            return 0.0
        # What was received long before it was stored, by an import or through the spool, waits since the last export.
        received_at: datetime = row[0]
        waiting_since = received_at if moment is None else max(received_at, moment)
        return max((self._clock() - waiting_since).total_seconds(), 0.0)

    def _exported(self) -> tuple[int, datetime | None] | None:
        """Return the lake's watermark and the time of its last commit, None when it cannot be read."""
        # Costs 50 MB, which a process that nobody asks for this need not have.
        from pipeline.lake.table import EXPORT_WATERMARK, Lake, LakeError  # noqa: PLC0415

        try:
            table = Lake(self._lake).table()
            if table is None:
                return 0, None
            moment = datetime.fromtimestamp(table.history(1)[0]["timestamp"] / 1000, UTC)
            return table.transaction_version(EXPORT_WATERMARK) or 0, moment
        except (LakeError, OSError):
            return None
