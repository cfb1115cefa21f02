"""The live keys of all tenants as this process knows them: looked at every second, read again when one changed.

All of them are in memory, so that nothing about a request, not even its duration, tells whether a key's id exists.
While the database is away, the keys that were last known stay valid: events go on to be taken.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from api.access.caller import Caller
from api.database import Database
from api.errors import DatabaseUnavailableError
from pipeline.access.keys import digest, id_of_key
from pipeline.clock import Clock
from pipeline.statements import statement

# A look takes as long at most: what is known is at most two seconds old.
REFRESH_SECONDS = 1.0
# What a key is compared with whose id nobody has.
_NOBODY = digest("nobody")


@dataclass(frozen=True)
class LiveKey:
    """A key that is neither revoked nor was expired when it was read; `digest` is its SHA-256."""

    caller: Caller
    digest: bytes
    expires_at: datetime | None


@dataclass(frozen=True)
class TenantTerms:
    """What a tenant is allowed: requests per second by endpoint, where they differ, and origins of web pages."""

    name: str
    rate_limits: Mapping[str, float]
    cors_origins: frozenset[str]


@dataclass(frozen=True)
class _Known:
    revision: int
    keys: Mapping[str, LiveKey]
    tenants: Mapping[str, TenantTerms]
    origins: frozenset[str]


class KeyRing:
    """Finds keys. Belongs to one event loop."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: _Known | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the keys if the database answers within a second, and look for changes from now on."""
        with suppress(DatabaseUnavailableError):
            await self.refresh()
        self._refreshing = asyncio.create_task(self._refresh_forever())

    async def close(self) -> None:
        """Stop looking."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing

    def find(self, key: str) -> Caller | None:
        """Return who has a key; None when nobody does. Takes the same time for a wrong key as for an unknown one.

        Raises DatabaseUnavailableError when the keys were never read.
        """
        if self._known is None:
            raise DatabaseUnavailableError
        live = self._known.keys.get(id_of_key(key))
        given = digest(key)
        is_right = hmac.compare_digest(given, _NOBODY if live is None else live.digest)
        if live is None or not is_right or self._has_expired(live):
            return None
        return live.caller

    def current(self, key_id: str) -> LiveKey | None:
        """Return a key by its id; None when it is unknown, expired or revoked.

        Raises DatabaseUnavailableError when the keys were never read.
        """
        if self._known is None:
            raise DatabaseUnavailableError
        live = self._known.keys.get(key_id)
        return None if live is None or self._has_expired(live) else live

    def terms(self, tenant_id: str) -> TenantTerms | None:
        """Return what a tenant is allowed; None when it is unknown, or the tenants were never read."""
        return self._known.tenants.get(tenant_id) if self._known else None

    def tenants(self) -> Mapping[str, TenantTerms]:
        """Return all tenants by id; none when they were never read."""
        return self._known.tenants if self._known else {}

    def is_any_origin(self, origin: str) -> bool:
        """Whether any tenant admits pages of an origin: a browser asks before it sends the key."""
        return self._known is not None and origin in self._known.origins

    def _has_expired(self, live: LiveKey) -> bool:
        return live.expires_at is not None and live.expires_at <= self._clock()

    async def refresh(self) -> None:
        """Read the keys again if one changed. Raises DatabaseUnavailableError after a second without an answer."""
        known = self._known
        found = await self._database.run(
            lambda connection: _read(connection, known.revision if known else 0), (), seconds=REFRESH_SECONDS
        )
        self._known = found or known

    async def _refresh_forever(self) -> None:
        while True:
            # Whatever goes wrong here is met and reported by the requests: this one only tries again.
            with suppress(DatabaseUnavailableError):
                await self.refresh()
            await asyncio.sleep(REFRESH_SECONDS if self._known else REFRESH_SECONDS / 10)


async def _read(connection: AsyncConnection, revision: int) -> _Known | None:
    """Return the keys and tenants; None when they still are those of a revision."""
    newest = await _fetch(connection, "access/revision")
    if newest[0][0] == revision:
        return None
    # Read after the revision: a change in between shows as yet another revision at the next look.
    keys = await _fetch(connection, "access/live_keys")
    terms = await _fetch(connection, "access/tenant_terms")
    tenants = {
        tenant_id: TenantTerms(name, rate_limits, frozenset(origins)) for tenant_id, name, rate_limits, origins in terms
    }
    return _Known(
        newest[0][0],
        {
            key_id: LiveKey(Caller(tenant_id, frozenset(scopes), key_id), digest, expires_at)
            for key_id, tenant_id, digest, scopes, expires_at in keys
        },
        tenants,
        frozenset(origin for each in tenants.values() for origin in each.cors_origins),
    )


async def _fetch(connection: AsyncConnection, name: str) -> list[tuple[Any, ...]]:
    return await (await connection.execute(statement(name))).fetchall()
