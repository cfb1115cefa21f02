"""An installation that is lived in: events that came late and twice, refused ones, an experiment with users."""

from __future__ import annotations

import random
import uuid
from datetime import datetime, timedelta

import psycopg

from pipeline.ingestion.dead_letters import DeadLetter
from pipeline.ingestion.event_store import EventRow, store, write
from pipeline.refresh.run import refresh
from pipeline.settings import Settings
from tests.makers import EVENT_NAMES, add_experiment, assign, event_row

DAYS, EVENTS = 12, 600
USERS = 60
DELAYS = (2.0, 5.0, 40.0, 3_000.0, 30_000.0, 90_000.0, 400_000.0, -9_000.0)
BAD_TIME = "occurred_at must be ISO 8601"
REFUSED = (
    ("missing event_name", b'{"anonymous_user_id": "user-abc-1234567890", "occurred_at": "2026-02-18T10:00:00Z"}'),
    (BAD_TIME, b'{"event_name": "app_opened", "anonymous_user_id": "jane.doe@example.org", "occurred_at": "x"}'),
    (BAD_TIME, b'{"event_name": "tab_opened", "anonymous_user_id": "john@example.org", "occurred_at": "y"}'),
    ("an event must be a JSON object", b"[1, 2"),
)


def inhabit(
    settings: Settings,
    connection: psycopg.Connection,
    now: datetime,
    tenant_id: str = "default",
    *,
    days: int = DAYS,
    events: int = EVENTS,
) -> None:
    """Fill a tenant up to `now`, and refresh. `connection` is in autocommit mode."""
    chance = random.Random(f"inhabited {tenant_id}")
    add_experiment(connection, "checkout", {"A": 1, "B": 1}, tenant_id=tenant_id, start_at=now - timedelta(days=days))
    if tenant_id == "default":
        for number in range(USERS):
            at = now - timedelta(days=chance.uniform(0, days))
            assign(connection, [f"person_{number}"], "checkout", chance.choice("AAB"), at)
    stored = rows(tenant_id, now, chance, days, events)
    store(connection, stored)
    store(connection, stored[:15])  # as a client does that got no answer
    letters = [
        DeadLetter(tenant_id, now - timedelta(hours=number), "mobile", number, reason, b"{}", event)
        for number, (reason, event) in enumerate(REFUSED)
    ]
    with connection.transaction():
        write(connection, [], letters)
    assert settings.database_url is not None
    refresh(settings, settings.database_url.get_secret_value(), now)


def rows(tenant_id: str, now: datetime, chance: random.Random, days: int, events: int) -> list[EventRow]:
    """So many events of USERS over so many days."""
    found = []
    for _ in range(events):
        occurred_at = now - timedelta(seconds=chance.uniform(60, days * 86_400))
        received_at = min(occurred_at + timedelta(seconds=chance.choice(DELAYS)), now)
        found.append(
            event_row(
                event_id=str(uuid.UUID(int=chance.getrandbits(128))),
                tenant_id=tenant_id,
                anonymous_user_id=f"person_{chance.randrange(USERS)}",
                event_name=chance.choice(EVENT_NAMES),
                occurred_at=occurred_at,
                received_at=received_at,
            )
        )
    return found
