"""Seeded makers of test data: one event row, many event rows, experiments with variants."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from pipeline.ingestion.event_store import EventRow

NOW = datetime(2026, 2, 19, tzinfo=UTC)
EVENT_NAMES = ("app_opened", "tab_opened", "workout_started", "exercise_logged", "session_submitted")


def event_row(number: int = 0, **fields: Any) -> EventRow:
    """One storable event; `number` makes its id and moves it by seconds, `fields` replace any column."""
    defaults: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=number + 1)),
        "tenant_id": "default",
        "anonymous_user_id": f"user_{number % 7}",
        "session_id": None,
        "install_id": None,
        "platform": "ios",
        "app_version": "1.0.0",
        "event_name": "app_opened",
        "occurred_at": NOW + timedelta(seconds=number),
        "received_at": NOW + timedelta(seconds=number + 2),
        "sent_at": None,
    }
    return EventRow(**{**defaults, **fields})


def event_rows(count: int, *, seed: int = 1, days: int = 3, users: int = 20, end: datetime = NOW) -> list[EventRow]:
    """`count` random events of `users` over the `days` before `end`, delivered up to a day late."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        occurred_at = end - timedelta(seconds=chance.uniform(0, days * 86_400))
        rows.append(
            event_row(
                event_id=str(uuid.UUID(int=chance.getrandbits(128))),
                anonymous_user_id=f"user_{chance.randrange(users)}",
                event_name=chance.choice(EVENT_NAMES),
                occurred_at=occurred_at,
                received_at=occurred_at + timedelta(seconds=chance.choice((1, 5, 60, 3_600, 86_400))),
            )
        )
    return rows


def add_experiment(
    connection: psycopg.Connection,
    experiment_id: str,
    weights: Mapping[str, float],
    *,
    status: str = "RUNNING",
    tenant_id: str = "default",
    start_at: datetime | None = None,
    end_at: datetime | None = None,
    targeting: Any = None,
    overrides: Mapping[str, Any] | None = None,
) -> None:
    """Insert an experiment with its variants: `weights` by variant_id, `overrides` (config) by variant_id."""
    connection.execute(
        "INSERT INTO experiments (tenant_id, experiment_id, status, start_at, end_at, targeting)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [tenant_id, experiment_id, status, start_at, end_at, None if targeting is None else Jsonb(targeting)],
    )
    for position, (variant_id, weight) in enumerate(weights.items()):
        connection.execute(
            "INSERT INTO experiment_variants"
            " (tenant_id, experiment_id, variant_id, variant_name, is_control, weight, config_override)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                tenant_id, experiment_id, variant_id, f"name_{variant_id}", position == 0, weight,
                Jsonb((overrides or {}).get(variant_id, {})),
            ],
        )  # fmt: skip


def assign(
    connection: psycopg.Connection, users: Sequence[str], experiment_id: str, variant_id: str, at: datetime = NOW
) -> None:
    """Assign users of the default tenant to a variant at a moment."""
    for user in users:
        connection.execute(
            "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id, assigned_at)"
            " VALUES (%s, %s, %s, %s)",
            [user, experiment_id, variant_id, at],
        )
