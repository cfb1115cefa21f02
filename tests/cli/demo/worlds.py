"""Small worlds for the demo's tests: plans, assigners that need no server, and what reached the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256

from cli.demo.network import Batch, SimulatedEvent
from cli.demo.plan import DEFAULT_SEED, Plan
from cli.demo.simulation import Assigner, Life

NOON = datetime(2026, 11, 19, 12, 30, 15, 123_456, tzinfo=UTC)  # a Thursday
LANDING, DENSITY = "exp_3_landing_journey", "exp_4_achievements_density"
NAMES = {(LANDING, "A"): "a", (LANDING, "B"): "b", (LANDING, "C"): "c", (DENSITY, "A"): "a", (DENSITY, "B"): "b"}


def plan(users: int = 200, days: int = 30, seed: int = DEFAULT_SEED, now: datetime = NOON) -> Plan:
    return Plan(users, days, seed, now)


def by_hash(user: str, _platform: str, _version: str) -> Mapping[str, str]:
    digest = sha256(user.encode()).digest()
    return {LANDING: "ABC"[digest[0] % 3], DENSITY: "AB"[digest[1] % 2]}


def always(**variants: str) -> Assigner:
    assigned = {LANDING: variants.get("landing", "A"), DENSITY: variants.get("density", "A")}
    return lambda _user, _platform, _version: assigned


def arrived(lives: Sequence[Life], now: datetime) -> Iterator[tuple[Batch, SimulatedEvent]]:
    for life in lives:
        for batch in life.batches:
            if batch.arrivals[0] <= now:
                for event in batch.events:
                    yield batch, event
