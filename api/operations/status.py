"""What one process knows of its own state, and who may ask."""

from __future__ import annotations

import asyncio
import hmac
import os
import shutil
from dataclasses import dataclass
from typing import Any

from api import telemetry
from api.client_host import is_local
from api.errors import ApiError, UnauthorizedError
from api.ingestion.spool import Spool
from api.operations.database_probe import DatabaseProbe
from api.operations.exposition import exposition
from pipeline.clock import Clock
from pipeline.settings import Settings

SAMPLE_SECONDS = 1.0
# With less room than this on its disk a spool is about to refuse.
SPOOL_ROOM_BYTES = 16 * 2**20


@dataclass(frozen=True)
class Readiness:
    """Whether this process can take events, by which way, and what is wrong with the other."""

    database: bool
    spool: bool
    deliveries: int
    bytes: int
    reasons: tuple[str, ...]

    @property
    def ready(self) -> bool:
        """Whether events can be made durable."""
        return self.database or self.spool

    def content(self) -> dict[str, Any]:
        """Return the answer's fields."""
        return {
            "ready": self.ready,
            "database": self.database,
            "spool": {"usable": self.spool, "deliveries": self.deliveries, "bytes": self.bytes},
            "reasons": list(self.reasons),
        }


class Operations:
    """Readiness and metrics of one process."""

    def __init__(self, settings: Settings, spool: Spool, clock: Clock) -> None:
        database_url = settings.database_url.get_secret_value() if settings.database_url else None
        self._token = settings.metrics_token.get_secret_value() if settings.metrics_token else None
        self._probe = DatabaseProbe(database_url, settings.lake, clock)
        self._folder = settings.spool
        self._max_bytes = settings.spool_max_bytes
        self._spool = spool
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Keep the gauges of the spool up to date from now on; to be called from the event loop."""
        oldest = self._spool.oldest_received_at
        age = (self._clock() - oldest).total_seconds() if oldest else 0.0
        telemetry.spool_is(self._spool.entries, self._spool.bytes, age)
        self._timer = asyncio.get_running_loop().call_later(SAMPLE_SECONDS, self.start)

    def close(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    async def readiness(self) -> Readiness:
        """Say within a second whether this process can take events durably."""
        database = await self._probe.state() is not None
        problem = await asyncio.to_thread(self._spool_problem)
        reasons = () if database else ("the database does not answer",)
        return Readiness(
            database,
            problem is None,
            self._spool.entries,
            self._spool.bytes,
            reasons if problem is None else (*reasons, problem),
        )

    async def metrics(self) -> bytes:
        """Return the metrics page, within a second and a bit whatever the database does."""
        state = await self._probe.state()
        return await asyncio.to_thread(exposition, state)

    async def export_lag(self) -> float | None:
        """Return for how long the oldest event waits that the lake does not have, in seconds; None when unknown."""
        state = await self._probe.state()
        return None if state is None else state.export_lag

    def authorize(self, client: str | None, authorization: str) -> None:
        """Let those read the metrics who show the token, or, when there is none, whoever is on this machine.

        Raises UnauthorizedError for a missing or wrong token, ApiError 403 for a client elsewhere.
        """
        if self._token is not None:
            offered = authorization.removeprefix("Bearer ").encode("latin-1")
            if not hmac.compare_digest(offered, self._token.encode()):
                raise UnauthorizedError("Missing or invalid metrics token.")
        elif not is_local(client):
            raise ApiError(403, "Set TIDEMARK_METRICS_TOKEN to read the metrics from another machine.")

    def _spool_problem(self) -> str | None:
        if self._spool.problem:
            return f"the spool cannot be written: {self._spool.problem}"
        if self._spool.bytes >= self._max_bytes:
            return "the spool is full"
        folder = next(place for place in (self._folder, *self._folder.parents) if place.exists())
        if not os.access(folder, os.W_OK | os.X_OK):
            return "the folder of the spool cannot be written"
        if shutil.disk_usage(folder).free < SPOOL_ROOM_BYTES:
            return "the disk of the spool is full"
        return None
