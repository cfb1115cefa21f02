"""The running experiments of each tenant as this process knows them: read when they changed, looked at every second.

One query reads what users are assigned to together with a revision of the experiments: a change shows at once.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress

import msgspec
from psycopg import AsyncConnection

from api.assignment.allocation import Allocation
from api.assignment.experiments import Experiment, RunningExperiments, Variant
from api.database import Database
from api.errors import DatabaseUnavailableError
from api.identifiers import DEFAULT_TENANT
from pipeline.statements import statement

# A look may take as long as the pause before it: what is known is at most two seconds old.
REFRESH_SECONDS = 1.0
# A tenant that nobody asked for in this time is not looked at any more; the default one always is.
KEPT_SECONDS = 600.0

# Variants by experiment, by user.
StoredVariants = Mapping[str, Mapping[str, str]]
_texts = msgspec.json.Decoder(list[str]).decode


class ExperimentCache:
    """Keeps the experiments of one revision, for each tenant that asked lately. Whoever reads a newer one renews them.

    While the database is away, the last known experiments stay. Belongs to one event loop.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._running: dict[str, RunningExperiments] = {}
        # When each tenant was last asked for, and last looked at; seconds of time.monotonic().
        self._asked: dict[str, float] = {DEFAULT_TENANT: math.inf}
        self._looked_at: dict[str, float] = {}
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

    def running_ids(self, tenant_id: str) -> tuple[str, ...] | None:
        """Return the ids of a tenant's RUNNING experiments, sorted; None when they were not read yet.

        As of at most two seconds ago, or of when the database was last there.
        """
        if tenant_id != DEFAULT_TENANT:
            self._asked[tenant_id] = time.monotonic()
        running = self._running.get(tenant_id)
        return None if running is None else running.ids

    async def read(
        self, connection: AsyncConnection, tenant_id: str, users: Collection[str] = ()
    ) -> tuple[StoredVariants, RunningExperiments]:
        """Read what users of a tenant are assigned to, and its experiments if they changed since the last look."""
        cursor = await connection.execute(
            statement("api/assignments_of_users"),
            {"tenant_id": tenant_id, "users": msgspec.json.encode(list(users)).decode()},
        )
        row = await cursor.fetchone()
        assert row is not None, "an aggregate without groups always has one row"
        revision, *columns = row
        stored: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for user, experiment_id, variant_id in zip(*map(_texts, columns), strict=True):
            stored[user][experiment_id] = variant_id
        return stored, await self._renewed(connection, tenant_id, revision)

    async def refresh(self) -> None:
        """Look whether experiments changed, of the tenants that nobody looked at meanwhile.

        Raises DatabaseUnavailableError after a second without an answer.
        """
        now = time.monotonic()
        for tenant_id in [tenant_id for tenant_id, asked in self._asked.items() if asked < now - KEPT_SECONDS]:
            for kept in (self._asked, self._looked_at, self._running):
                kept.pop(tenant_id, None)
        due = [tenant for tenant in self._asked if self._looked_at.get(tenant, -math.inf) <= now - REFRESH_SECONDS]
        if due:
            await self._database.run(lambda connection: self._look(connection, due), due, seconds=REFRESH_SECONDS)

    async def _look(self, connection: AsyncConnection, tenants: list[str]) -> None:
        cursor = await connection.execute(statement("api/experiment_revisions"), {"tenants": tenants})
        for tenant_id, revision in await cursor.fetchall():
            await self._renewed(connection, tenant_id, revision)

    async def _renewed(self, connection: AsyncConnection, tenant_id: str, revision: str) -> RunningExperiments:
        """Return a tenant's experiments, read again unless they are of this revision."""
        running = self._running.get(tenant_id)
        if running is None or running.revision != revision:
            # Read after the revision: a change in between shows as yet another revision to the next reader.
            running = self._running[tenant_id] = await _read_experiments(connection, tenant_id, revision)
        self._looked_at[tenant_id] = time.monotonic()
        return running

    async def _refresh_forever(self) -> None:
        while True:
            # Whatever goes wrong here is met and reported by the requests: this one only tries again.
            with suppress(DatabaseUnavailableError):
                await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS / 2)


async def _read_experiments(connection: AsyncConnection, tenant_id: str, revision: str) -> RunningExperiments:
    cursor = await connection.execute(statement("api/running_experiments"), {"tenant_id": tenant_id})
    return RunningExperiments(
        tuple(
            Experiment.of(
                experiment_id,
                start_at,
                end_at,
                targeting,
                [Variant(**variant) for variant in variants],
                allocation=Allocation(*allocation),
            )
            for experiment_id, start_at, end_at, targeting, variants, *allocation in await cursor.fetchall()
        ),
        revision,
    )
