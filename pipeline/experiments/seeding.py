"""Brings experiments in line with what a manifest wants: what would change, and the change itself, by one plan.

A manifest is the operator's word: it may move an experiment from any status to any other. What it does not speak of
(name, description, traffic allocation, layer) stays, and an experiment that gave its slice of a layer back stays ENDED.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import uuid4

import psycopg
from psycopg.rows import dict_row

from pipeline.experiments.definition import Definition, Json, StoredExperiment
from pipeline.experiments.lifecycle import RefusedError
from pipeline.experiments.planning import Author, Plan, leaving_keys, plan_change, plan_creation
from pipeline.statements import statement

MANIFEST = "manifest"


@dataclass(frozen=True)
class Seeding:
    """What is to happen to one experiment; `plan` is None when nothing is. `kept` are variants that stay for users."""

    experiment_id: str
    is_new: bool
    plan: Plan | None
    kept: tuple[str, ...] = ()

    def shown(self) -> Json:
        """Return it as `seed --diff` prints it; only for what has a plan."""
        assert self.plan is not None
        return {
            "experiment_id": self.experiment_id,
            "action": "create" if self.is_new else "update",
            "changes": self.plan.changes,
            "version": self.plan.version,
            "removed_variants": list(self.plan.removed),
            "retired_variants": list(self.plan.retired),
            "note": self.plan.note,
        }


def plan_seeding(
    connection: psycopg.Connection, tenant_id: str, experiment_id: str, wanted: Definition, *, lock: bool
) -> Seeding:
    """Compare what is stored with what is wanted; `lock` keeps others from changing it until the transaction ends.

    Raises RefusedError for an ENDED experiment of a layer that is wanted in another status.
    """
    stored = _stored(connection, tenant_id, experiment_id, lock=lock)
    author = Author(MANIFEST, uuid4())
    if stored is None:
        return Seeding(experiment_id, True, plan_creation(tenant_id, experiment_id, wanted, author))
    present = stored.definition
    if present.layer is not None and present.status == "ENDED" != wanted.status:
        raise RefusedError(
            f"it is ENDED and has given back its slice {present.layer}: it cannot become {wanted.status}"
        )
    whole = replace(
        wanted,
        name=present.name,
        description=present.description,
        traffic_allocation=present.traffic_allocation,
        layer=present.layer,
    )
    leaving = leaving_keys(stored, whole)
    used = _used(connection, tenant_id, experiment_id, leaving)
    plan = plan_change(tenant_id, stored, whole, author, used)
    return Seeding(experiment_id, False, plan, tuple(key for key in leaving if key in used))


def execute(connection: psycopg.Connection, seeding: Seeding) -> None:
    """Write what was planned, in the caller's transaction."""
    if seeding.plan is not None:
        for name, parameters in seeding.plan.writes:
            connection.execute(statement(name), parameters)


def _stored(
    connection: psycopg.Connection, tenant_id: str, experiment_id: str, *, lock: bool
) -> StoredExperiment | None:
    parameters = {"tenant_id": tenant_id, "experiment_id": experiment_id}
    if lock:
        connection.execute(statement("experiments/lock"), parameters)
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(statement("experiments/read"), parameters).fetchone()
    return None if row is None else StoredExperiment.of_row(row)


def _used(connection: psycopg.Connection, tenant_id: str, experiment_id: str, keys: Sequence[str]) -> set[str]:
    parameters = {"tenant_id": tenant_id, "experiment_id": experiment_id, "variant_ids": list(keys)}
    return {row[0] for row in connection.execute(statement("experiments/used_variants"), parameters)}
