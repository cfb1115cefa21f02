"""The running experiments as this process knows them, exact at every request without being read at every request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from api.assignment.bucketing import bucketing_order
from api.identifiers import DEFAULT_TENANT
from pipeline.statements import statement


@dataclass(frozen=True)
class Variant:
    """A variant; `config_override` is any JSON value, of which only objects have an effect."""

    variant_id: str
    variant_name: str
    weight: float
    config_override: Any


@dataclass(frozen=True)
class Experiment:
    """A running experiment; times are aware, None leaves a side open. Variants in bucketing order, at least one."""

    experiment_id: str
    start_at: datetime | None
    end_at: datetime | None
    targeting: Any
    variants: tuple[Variant, ...]

    def is_open(self, now: datetime) -> bool:
        """Say whether `now` lies in the experiment's time, both ends included."""
        return (self.start_at is None or self.start_at <= now) and (self.end_at is None or now <= self.end_at)

    def variant(self, variant_id: str) -> Variant | None:
        """Return the variant of that id, if it exists."""
        return next((variant for variant in self.variants if variant.variant_id == variant_id), None)


@dataclass(frozen=True)
class UserAssignments:
    """A user's stored variants by experiment, and the running experiments (by id) of the same moment."""

    experiments: tuple[Experiment, ...]
    variant_ids: Mapping[str, str]


class ExperimentCache:
    """Keeps the experiments of one revision; the read of a user's assignments tells whether it is still the latest."""

    def __init__(self) -> None:
        self._revision: str | None = None
        self._experiments: tuple[Experiment, ...] = ()

    async def of_user(self, connection: AsyncConnection, anonymous_user_id: str) -> UserAssignments:
        """Read a user's assignments, and the experiments if they changed since the last call."""
        key = {"tenant_id": DEFAULT_TENANT, "anonymous_user_id": anonymous_user_id}
        cursor = await connection.execute(statement("api/assignments_of_user"), key)
        row = await cursor.fetchone()
        assert row is not None, "an aggregate without groups always has one row"
        revision, experiment_ids, variant_ids = row
        experiments = self._experiments
        if revision != self._revision:
            # Read after the revision: a change in between shows as another revision to the next request.
            experiments = await _read(connection)
            self._experiments = experiments
            self._revision = revision
        return UserAssignments(experiments, dict(zip(experiment_ids or (), variant_ids or (), strict=True)))


async def _read(connection: AsyncConnection) -> tuple[Experiment, ...]:
    cursor = await connection.execute(statement("api/running_experiments"), {"tenant_id": DEFAULT_TENANT})
    return tuple(
        Experiment(
            experiment_id,
            start_at,
            end_at,
            targeting,
            tuple(bucketing_order([Variant(**variant) for variant in variants])),
        )
        for experiment_id, start_at, end_at, targeting, variants in await cursor.fetchall()
    )
