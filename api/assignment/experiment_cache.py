"""The running experiments as this process knows them: read when they changed, and looked at every second.

One query reads what users are assigned to together with a revision of the experiments: a change shows at once.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
from psycopg import AsyncConnection

from api.assignment.experiments import Experiment, RunningExperiments, Variant
from api.database import Database
from api.errors import DatabaseUnavailableError
from api.identifiers import DEFAULT_TENANT
from pipeline.statements import statement

# A look may take as long as the pause before it: what is known is at most two seconds old.
REFRESH_SECONDS = 1.0

# Variants by experiment, by user.
StoredVariants = Mapping[str, Mapping[str, str]]
_texts = msgspec.json.Decoder(list[str]).decode


class ExperimentCache:
    """Keeps the experiments of one revision. Whoever reads a newer revision brings it up to date.

    While the database is away, the last known experiments stay. Belongs to one event loop.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: RunningExperiments | None = None
        self._looked_at = 0.0
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start to look for changes, in the background."""
        self._refreshing = asyncio.create_task(self._refresh_forever())

    async def close(self) -> None:
        """Stop looking."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing

    def running_ids(self) -> tuple[str, ...] | None:
        """Return the ids of the RUNNING experiments, sorted; None when they were never read.

        As of at most two seconds ago, or of when the database was last there.
        """
        return None if self._running is None else self._running.ids

    async def read(
        self, connection: AsyncConnection, users: Collection[str] = ()
    ) -> tuple[StoredVariants, RunningExperiments]:
        """Read what users are assigned to, and the experiments if they changed since the last look."""
        cursor = await connection.execute(
            statement("api/assignments_of_users"),
            {"tenant_id": DEFAULT_TENANT, "users": msgspec.json.encode(list(users)).decode()},
        )
        row = await cursor.fetchone()
        assert row is not None, "an aggregate without groups always has one row"
        revision, *columns = row
        stored: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for user, experiment_id, variant_id in zip(*map(_texts, columns), strict=True):
            stored[user][experiment_id] = variant_id
        running = self._running
        if running is None or running.revision != revision:
            # Read after the revision: a change in between shows as yet another revision to the next reader.
            running = self._running = await _read_experiments(connection, revision)
        self._looked_at = time.monotonic()
        return stored, running

    async def refresh(self) -> None:
        """Look whether the experiments changed. Raises DatabaseUnavailableError after a second without an answer."""
        await self._database.run(self.read, seconds=REFRESH_SECONDS)

    async def _refresh_forever(self) -> None:
        while True:
            idle = time.monotonic() - self._looked_at
            if idle >= REFRESH_SECONDS:
                # Whatever goes wrong here is met and reported by the requests: this one only tries again.
                with suppress(DatabaseUnavailableError):
                    await self.refresh()
                idle = 0.0
            await asyncio.sleep(REFRESH_SECONDS - idle)


async def _read_experiments(connection: AsyncConnection, revision: str) -> RunningExperiments:
    cursor = await connection.execute(statement("api/running_experiments"), {"tenant_id": DEFAULT_TENANT})
    return RunningExperiments(
        tuple(
            Experiment.of(experiment_id, start_at, end_at, targeting, [Variant(**variant) for variant in variants])
            for experiment_id, start_at, end_at, targeting, variants in await cursor.fetchall()
        ),
        revision,
    )
