"""Assigns a user: what is stored stays, what is new follows the bucketing rule, and all requests agree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection

from api.assignment.bucketing import choose_variant
from api.assignment.experiments import Experiment, ExperimentCache, UserAssignments, Variant
from api.assignment.targeting import matches
from api.identifiers import DEFAULT_TENANT
from pipeline.statements import statement

# Each round either settles every experiment or lost to another request; that many losses in a row do not happen.
MAX_ROUNDS = 10


@dataclass(frozen=True)
class Subject:
    """Who asks: a trimmed id, and what the app said of itself."""

    anonymous_user_id: str
    platform: str | None
    app_version: str | None


@dataclass(frozen=True)
class Assignment:
    """The variant of one experiment that a user has."""

    experiment_id: str
    variant: Variant


class UnsettledAssignmentError(Exception):
    """Experiments changed at every look."""


async def assign(
    connection: AsyncConnection, cache: ExperimentCache, subject: Subject, now: datetime
) -> list[Assignment]:
    """Return the user's assignments in order of experiment, storing those that are new; idempotent.

    An assignment, once stored, is kept while its experiment runs and its variant exists, whatever becomes of weights
    and targeting. If the variant is gone, the user is bucketed anew. `connection` must be in autocommit mode, so that
    each read sees what other requests stored.
    """
    for _ in range(MAX_ROUNDS):
        known = await cache.of_user(connection, subject.anonymous_user_id)
        settled: list[Assignment] = []
        new: dict[str, str] = {}
        gone: dict[str, str] = {}
        for experiment in known.experiments:
            if not _is_eligible(experiment, subject, known, now):
                continue
            stored_id = known.variant_ids.get(experiment.experiment_id)
            variant = experiment.variant(stored_id) if stored_id is not None else None
            if variant is None:
                variant = choose_variant(
                    subject.anonymous_user_id, experiment.experiment_id, experiment.variants, ordered=True
                )
                (new if stored_id is None else gone)[experiment.experiment_id] = variant.variant_id
            settled.append(Assignment(experiment.experiment_id, variant))
        added = not new or await _add(connection, subject, new, now)
        replaced = not gone or await _replace(connection, subject, known.variant_ids, gone, now)
        if added and replaced:
            return settled
    raise UnsettledAssignmentError


def _is_eligible(experiment: Experiment, subject: Subject, known: UserAssignments, now: datetime) -> bool:
    if not experiment.is_open(now):
        return False
    stored = known.variant_ids.get(experiment.experiment_id)
    if stored is not None and experiment.variant(stored) is not None:
        return True
    return matches(experiment.targeting, subject.platform, subject.app_version)


async def _add(connection: AsyncConnection, subject: Subject, chosen: Mapping[str, str], now: datetime) -> bool:
    """Store new assignments; false when another request was faster with one of them."""
    cursor = await connection.execute(
        statement("api/add_assignments"),
        {
            "tenant_id": DEFAULT_TENANT,
            "anonymous_user_id": subject.anonymous_user_id,
            "experiment_ids": list(chosen),
            "variant_ids": list(chosen.values()),
            "assigned_at": now,
        },
    )
    return cursor.rowcount == len(chosen)


async def _replace(
    connection: AsyncConnection,
    subject: Subject,
    stored: Mapping[str, str],
    chosen: Mapping[str, str],
    now: datetime,
) -> bool:
    """Replace assignments to variants that are gone; false when one of them was changed meanwhile."""
    replaced = 0
    for experiment_id, variant_id in chosen.items():
        cursor = await connection.execute(
            statement("api/replace_assignment"),
            {
                "tenant_id": DEFAULT_TENANT,
                "anonymous_user_id": subject.anonymous_user_id,
                "experiment_id": experiment_id,
                "gone_variant_id": stored[experiment_id],
                "variant_id": variant_id,
                "assigned_at": now,
            },
        )
        replaced += cursor.rowcount
    return replaced == len(chosen)
