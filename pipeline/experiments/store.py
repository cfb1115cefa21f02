"""Experiments in Postgres: created, read and changed, each change in one transaction with its entry in the log.

Functions take an AsyncConnection in autocommit mode and are safe to repeat: a change whose answer was lost is known by
its `change_id`, and done once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid5

from psycopg import AsyncConnection, errors
from psycopg.rows import dict_row

from pipeline.database import AdvisoryLock
from pipeline.experiments.definition import Definition, LayerSlice, Status, StoredExperiment
from pipeline.experiments.json_values import text_problem
from pipeline.experiments.lifecycle import RefusedError, check_change
from pipeline.experiments.planning import Author, Plan, leaving_keys, plan_change, plan_creation
from pipeline.statements import statement

Edit = Callable[[Definition], Definition]
Allows = Callable[[str], bool]


class UnknownExperimentError(Exception):
    """The tenant has no such experiment."""


class StaleError(Exception):
    """The experiment is not what the caller took it for; `etag` is what it is now."""

    def __init__(self, etag: str) -> None:
        super().__init__("The experiment was changed meanwhile. Read it again, and repeat the change if it still fits.")
        self.etag = etag


@dataclass(frozen=True)
class StatusOutcome:
    """What became of one experiment of a bulk change; `reason` says why it was refused or is unknown."""

    experiment_id: str
    outcome: Literal["changed", "unchanged", "refused", "unknown"]
    status: Status | None = None
    reason: str | None = None


async def create_experiment(
    connection: AsyncConnection, tenant_id: str, experiment_id: str, definition: Definition, author: Author
) -> StoredExperiment:
    """Store a new experiment and return it. Raises RefusedError when its slice of a layer is taken."""
    try:
        async with connection.transaction():
            if not await _is_done(connection, tenant_id, author):
                await _check_slice(connection, tenant_id, experiment_id, definition)
                await _execute(connection, plan_creation(tenant_id, experiment_id, definition, author))
            return await _read(connection, tenant_id, experiment_id)
    except errors.ExclusionViolation as error:
        raise await _taken(connection, tenant_id, experiment_id, definition) from error


async def read_experiment(connection: AsyncConnection, tenant_id: str, experiment_id: str) -> StoredExperiment:
    """Return an experiment. Raises UnknownExperimentError."""
    return await _read(connection, tenant_id, experiment_id)


async def change_experiment(
    connection: AsyncConnection,
    tenant_id: str,
    experiment_id: str,
    edit: Edit,
    author: Author,
    *,
    allows: Allows | None = None,
) -> StoredExperiment:
    """Change an experiment to what `edit` makes of it and return it; nothing is written when nothing changes.

    `allows` says of an ETag whether the caller knows that revision: of several who name the same one, the first wins.
    Raises UnknownExperimentError, StaleError, RefusedError (lifecycle, a slice that is taken), and what `edit` raises.
    """
    wanted: Definition | None = None
    try:
        async with connection.transaction():
            stored = await _lock(connection, tenant_id, experiment_id)
            if await _is_done(connection, tenant_id, author):
                return stored
            if allows is not None and not allows(stored.etag):
                raise StaleError(stored.etag)
            wanted = edit(stored.definition)
            check_change(stored, wanted)
            if wanted.layer != stored.definition.layer:
                await _check_slice(connection, tenant_id, experiment_id, wanted)
            used = await _used_variants(connection, tenant_id, experiment_id, leaving_keys(stored, wanted))
            plan = plan_change(tenant_id, stored, wanted, author, used)
            if plan is None:
                return stored
            await _execute(connection, plan)
            return await _read(connection, tenant_id, experiment_id)
    except errors.ExclusionViolation as error:
        assert wanted is not None
        raise await _taken(connection, tenant_id, experiment_id, wanted) from error


async def change_statuses(
    connection: AsyncConnection, tenant_id: str, experiment_ids: Sequence[str], status: Status, author: Author
) -> list[StatusOutcome]:
    """Give several experiments a status, one transaction each: all that may have it get it. In the order given."""
    outcomes = []
    for position, experiment_id in enumerate(experiment_ids):
        # Each has an entry of its own in the log, and keeps it when the whole is tried again.
        own = Author(author.by, uuid5(author.change_id, str(position)))
        outcomes.append(await _change_status(connection, tenant_id, experiment_id, status, own))
    return outcomes


async def read_changes(
    connection: AsyncConnection, tenant_id: str, experiment_id: str, *, limit: int, before: int | None = None
) -> list[dict[str, Any]]:
    """Return entries of an experiment's log as rows, the latest first; `before` is a revision to go on from.

    Raises UnknownExperimentError.
    """
    await _read(connection, tenant_id, experiment_id)
    parameters = {"tenant_id": tenant_id, "experiment_id": experiment_id, "before": before, "row_limit": limit}
    return await _rows(connection, "experiments/changes", parameters)


async def read_versions(connection: AsyncConnection, tenant_id: str, experiment_id: str) -> list[dict[str, Any]]:
    """Return all versions of an experiment as rows, the first one first. Raises UnknownExperimentError."""
    await _read(connection, tenant_id, experiment_id)
    return await _rows(connection, "experiments/versions", {"tenant_id": tenant_id, "experiment_id": experiment_id})


async def _change_status(
    connection: AsyncConnection, tenant_id: str, experiment_id: str, status: Status, author: Author
) -> StatusOutcome:
    changed = False

    def edit(present: Definition) -> Definition:
        nonlocal changed
        changed = present.status != status
        return present.with_status(status)

    try:
        await change_experiment(connection, tenant_id, experiment_id, edit, author)
    except UnknownExperimentError:
        return StatusOutcome(experiment_id, "unknown", None, "There is no such experiment.")
    except RefusedError as error:
        stored = await _read(connection, tenant_id, experiment_id)
        return StatusOutcome(experiment_id, "refused", stored.definition.status, str(error))
    return StatusOutcome(experiment_id, "changed" if changed else "unchanged", status)


async def _lock(connection: AsyncConnection, tenant_id: str, experiment_id: str) -> StoredExperiment:
    await connection.execute(statement("experiments/lock"), _key(tenant_id, experiment_id))
    return await _read(connection, tenant_id, experiment_id)


async def _read(connection: AsyncConnection, tenant_id: str, experiment_id: str) -> StoredExperiment:
    rows = await _rows(connection, "experiments/read", _key(tenant_id, experiment_id))
    if not rows:
        raise UnknownExperimentError(experiment_id)
    return StoredExperiment.of_row(rows[0])


def _key(tenant_id: str, experiment_id: str) -> dict[str, Any]:
    """Return what names an experiment, as parameters. Raises UnknownExperimentError for what Postgres cannot hold."""
    if text_problem(experiment_id):
        raise UnknownExperimentError(experiment_id)
    return {"tenant_id": tenant_id, "experiment_id": experiment_id}


async def _is_done(connection: AsyncConnection, tenant_id: str, author: Author) -> bool:
    parameters = {"tenant_id": tenant_id, "change_id": author.change_id}
    return bool(await _rows(connection, "experiments/find_change", parameters))


async def _used_variants(
    connection: AsyncConnection, tenant_id: str, experiment_id: str, keys: Collection[str]
) -> set[str]:
    if not keys:
        return set()
    parameters = {"tenant_id": tenant_id, "experiment_id": experiment_id, "variant_ids": list(keys)}
    return {row["variant_id"] for row in await _rows(connection, "experiments/used_variants", parameters)}


async def _check_slice(connection: AsyncConnection, tenant_id: str, experiment_id: str, definition: Definition) -> None:
    if definition.layer is None or definition.status == "ENDED":
        return
    lock = {"lock": int(AdvisoryLock.EXPERIMENT_LAYER), "tenant_id": tenant_id, "layer": definition.layer.name}
    await connection.execute(statement("experiments/lock_layer"), lock)
    other = await _overlapping(connection, tenant_id, experiment_id, definition.layer)
    if other is not None:
        raise RefusedError(_refusal(definition.layer, other))


async def _taken(
    connection: AsyncConnection, tenant_id: str, experiment_id: str, definition: Definition
) -> RefusedError:
    """Say who holds a slice that the constraint refused: taken by other means than this module."""
    assert definition.layer is not None
    other = await _overlapping(connection, tenant_id, experiment_id, definition.layer)
    return RefusedError(_refusal(definition.layer, other))


async def _overlapping(
    connection: AsyncConnection, tenant_id: str, experiment_id: str, layer: LayerSlice
) -> dict[str, Any] | None:
    parameters = {
        "tenant_id": tenant_id,
        "experiment_id": experiment_id,
        "layer": layer.name,
        "layer_from": layer.start,
        "layer_to": layer.end,
    }
    rows = await _rows(connection, "experiments/overlapping", parameters)
    return rows[0] if rows else None


def _refusal(layer: LayerSlice, other: dict[str, Any] | None) -> str:
    if other is None:
        return f"The slice {layer} overlaps that of another experiment."
    taken = LayerSlice(layer.name, other["layer_from"], other["layer_to"])
    owner = f"experiment {other['experiment_id']} ({other['status']})"
    return (
        f"The slice {layer} overlaps {taken}, which belongs to {owner}. "
        "A slice is free again when its experiment is ENDED, or leaves the layer as a DRAFT."
    )


async def _execute(connection: AsyncConnection, plan: Plan) -> None:
    for name, parameters in plan.writes:
        await connection.execute(statement(name), parameters)


async def _rows(connection: AsyncConnection, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement(name), parameters)
        return await cursor.fetchall()
