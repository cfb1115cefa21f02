"""How often a tenant may ask: a bucket of requests per tenant and endpoint, which all API processes share.

A bucket holds one second's worth of requests (one, at least) and fills at the tenant's rate. It lives in Postgres, one
row each; a process takes as many requests out of it at once as it is likely to need within the next moment, and answers
from those. What it knows to be empty it refuses by itself, so that a flood costs the others next to nothing. While the
database is away, each process keeps a bucket of its own.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import AsyncConnection

from api import telemetry
from api.access.key_ring import KeyRing
from api.database import Database
from api.errors import ApiError, DatabaseUnavailableError
from pipeline.access.tenants import RATE_LIMITS
from pipeline.statements import statement

# Requests taken in advance are worth nothing after this; nor are more of them taken than the rate gives in this time.
LEASE_SECONDS = 0.1
ANSWER_SECONDS = 1.0
# For so long after it did not answer, the database is not asked: every request would wait for it.
AWAY_SECONDS = 5.0


@dataclass(frozen=True)
class Allowance:
    """What is left of a bucket after a request: `remaining` requests, full again after `reset` seconds.

    `remaining` is what this process knows: others may have taken some since it asked.
    """

    policy: str
    limit: int
    remaining: int
    reset: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell a client: of the current draft of the RateLimit fields, and of the earlier ones."""
        return {
            "ratelimit-policy": f'"{self.policy}";q={self.limit};w=1',
            "ratelimit": f'"{self.policy}";r={self.remaining};t={self.reset}',
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(self.remaining),
            "ratelimit-reset": str(self.reset),
        }


class TooManyRequestsError(ApiError):
    """The tenant has used up its requests: 429, to be repeated after Retry-After seconds."""

    def __init__(self, allowance: Allowance, retry_after: int) -> None:
        super().__init__(
            429,
            f"Too many requests: {allowance.limit} per second are allowed. Retry after {retry_after} s.",
            {**allowance.headers, "retry-after": str(retry_after)},
        )

    def answered(self) -> None:
        """Count the refusal."""
        telemetry.request_limited()


@dataclass(frozen=True)
class Grant:
    """What came out of a bucket: `granted` requests, after which it is full again in `full_in` seconds."""

    granted: int
    full_in: float


@dataclass
class _Lease:
    """What one process has taken from a bucket. Times are of time.monotonic()."""

    rate: float
    left: int = 0
    until: float = 0.0
    full_at: float = 0.0
    empty_until: float = 0.0
    size: int = 1
    fetched_at: float = -math.inf
    waiting: int = 0
    fetch: asyncio.Task[None] | None = None
    own_full_at: float = 0.0

    @property
    def capacity(self) -> float:
        return max(self.rate, 1.0)


class RateLimiter:
    """Grants or refuses requests. Belongs to one event loop."""

    def __init__(self, database: Database, keys: KeyRing, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._leases: dict[tuple[str, str], _Lease] = {}
        self._away_until = -math.inf

    async def take(self, tenant_id: str, endpoint: str) -> Allowance:
        """Take one request out of a tenant's bucket for an endpoint, one of `RATE_LIMITS`.

        Raises TooManyRequestsError when it is empty.
        """
        lease = self._lease(tenant_id, endpoint)
        while True:
            now = self._clock()
            if lease.left > 0 and now < lease.until:
                lease.left -= 1
                return self._allowance(endpoint, lease, now)
            if now < lease.empty_until:
                retry_after = max(math.ceil(lease.empty_until - now), 1)
                raise TooManyRequestsError(self._allowance(endpoint, lease, now), retry_after)
            if lease.fetch is None:
                lease.fetch = asyncio.create_task(self._renew(tenant_id, endpoint, lease))
            lease.waiting += 1
            try:
                await asyncio.shield(lease.fetch)
            finally:
                lease.waiting -= 1

    def _lease(self, tenant_id: str, endpoint: str) -> _Lease:
        terms = self._keys.terms(tenant_id)
        rate = float((terms.rate_limits if terms else {}).get(endpoint, RATE_LIMITS[endpoint]))
        lease = self._leases.get((tenant_id, endpoint))
        if lease is None or lease.rate != rate:
            lease = self._leases[tenant_id, endpoint] = _Lease(rate)
        return lease

    def _allowance(self, endpoint: str, lease: _Lease, now: float) -> Allowance:
        behind = max(lease.full_at - now, 0.0) * lease.rate
        remaining = min(max(math.floor(lease.capacity - behind), 0) + lease.left, int(lease.capacity))
        return Allowance(endpoint, max(int(lease.rate), 1), remaining, math.ceil(max(lease.full_at - now, 0.0)))

    async def _renew(self, tenant_id: str, endpoint: str, lease: _Lease) -> None:
        """Take some more requests out of the bucket: more than wait, where they are used up faster than asked for."""
        started = self._clock()
        busy = started - lease.fetched_at < LEASE_SECONDS
        lease.size = min(lease.size * 2, max(int(lease.rate * LEASE_SECONDS), 1)) if busy else 1
        wanted = max(lease.size, min(lease.waiting, int(lease.capacity)))
        try:
            grant = await self._grant(tenant_id, endpoint, lease, wanted)
        finally:
            lease.fetch = None
        now = self._clock()
        lease.left = grant.granted
        lease.until = now + LEASE_SECONDS
        lease.fetched_at = started
        lease.full_at = now + grant.full_in
        if not grant.granted:
            # One more fits in as soon as the bucket lacks one less than it holds.
            lease.empty_until = now + max(grant.full_in - (lease.capacity - 1) / lease.rate, 0.0)

    async def _grant(self, tenant_id: str, endpoint: str, lease: _Lease, wanted: int) -> Grant:
        """Take requests out of the bucket in the database, or while that is away out of this process's own."""
        if self._clock() >= self._away_until:
            try:
                return await self._database.run(
                    lambda connection: _take(connection, tenant_id, endpoint, lease, wanted),
                    tenant_id,
                    seconds=ANSWER_SECONDS,
                )
            except DatabaseUnavailableError:
                self._away_until = self._clock() + AWAY_SECONDS
        now = self._clock()
        grant = take(lease.own_full_at - now, lease.rate, lease.capacity, wanted)
        lease.own_full_at = now + grant.full_in
        return grant


def take(full_in: float, rate: float, capacity: float, wanted: int) -> Grant:
    """Take up to `wanted` requests out of a bucket that is full in `full_in` seconds (zero or less: is full)."""
    behind = max(full_in, 0.0)
    # Rounding errors of a millionth of a request are no reason to refuse one.
    granted = max(min(wanted, math.floor(capacity - behind * rate + 1e-6)), 0)
    return Grant(granted, behind + granted / rate)


async def _take(connection: AsyncConnection, tenant_id: str, endpoint: str, lease: _Lease, wanted: int) -> Grant:
    values = {
        "tenant_id": tenant_id,
        "endpoint": endpoint,
        "rate": lease.rate,
        "capacity": lease.capacity,
        "wanted": wanted,
    }
    row = await (await connection.execute(statement("access/take_requests"), values)).fetchone()
    assert row is not None, "the statement inserts or updates the one row"
    return Grant(*row)
