"""Campaign events of made-up tenants, and their summary counted by brute force over the stored events."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, date, timedelta
from typing import Any

import psycopg
from psycopg import sql

from pipeline.ingestion.event_store import EventRow
from pipeline.statements import statement
from tests.makers import NOW, event_row

# Events, conversions, users, converted users; by variant, '' being all events.
Counts = dict[str, tuple[int, int, int, int]]
# Tenant, experiment ('' without), variant ('' without), UTC day, user, conversion.
Fact = tuple[str, str, str, date, str, bool]

TODAY = NOW.date()
TABLES = ("campaign_counts", "campaign_user_days", "campaign_writers")


def empty(connection: psycopg.Connection, *others: str) -> None:
    """Begin anew: with empty TABLES, and with other empty tables."""
    names = sql.SQL(", ").join(map(sql.Identifier, (*TABLES, *others)))
    connection.execute(sql.SQL("TRUNCATE {}").format(names))


def campaign_event(number: int = 0, **fields: Any) -> EventRow:
    """One event as it is stored: `experiment_id`, `variant` replace those of its properties, `user_id` its user."""
    names = {"experimentId": fields.pop("experiment_id", "e"), "variant": fields.pop("variant", "A")}
    defaults: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=number + 1)),
        "anonymous_user_id": fields.pop("user_id", "ann"),
        "platform": None,
        "app_version": None,
        "event_name": "PAGE_VIEW",
        "occurred_at": NOW,
        "received_at": NOW,
        "properties": json.dumps({name: value for name, value in names.items() if value}, ensure_ascii=False),
        "context": '{"source":"campaign"}',
    }
    return event_row(**{**defaults, **fields})


def read_counts(
    connection: psycopg.Connection,
    first_day: date | None = None,
    last_day: date | None = None,
    experiment_id: str = "",
    tenant_id: str = "default",
) -> Counts:
    """What GET /api/analytics/summary reads."""
    rows = connection.execute(
        statement("campaign/summary"),
        {"tenant_id": tenant_id, "experiment_id": experiment_id, "first_day": first_day, "last_day": last_day},
    )
    return {variant: tuple(numbers) for variant, *numbers in rows}


def read_facts(connection: psycopg.Connection) -> list[Fact]:
    """What is stored, event by event."""
    rows = connection.execute(
        "SELECT tenant_id, properties, occurred_at, anonymous_user_id, event_name FROM event_logs"
        " WHERE context ->> 'source' = 'campaign'"
    )
    return [
        (
            tenant_id, _name(properties, "experimentId"), _name(properties, "variant"),
            occurred_at.astimezone(UTC).date(), user, event_name == "CONVERSION",
        )
        for tenant_id, properties, occurred_at, user, event_name in rows
    ]  # fmt: skip


def counted(
    facts: Iterable[Fact], first_day: date | None, last_day: date | None, experiment_id: str, tenant_id: str
) -> Counts:
    """The summary in plain Python."""
    found: dict[str, tuple[list[bool], set[str], set[str]]] = {}
    for tenant, experiment, variant, day, user, conversion in facts:
        if tenant != tenant_id or (experiment_id and experiment != experiment_id):
            continue
        if (first_day and day < first_day) or (last_day and day > last_day):
            continue
        for name in {"", variant}:
            events, users, converted = found.setdefault(name, ([], set(), set()))
            events.append(conversion)
            users.update({user} - {""})
            converted.update({user} - {""} if conversion else ())
    return {
        name: (len(events), sum(events), len(users), len(converted))
        for name, (events, users, converted) in found.items()
    }


def assert_exact(
    connection: psycopg.Connection, chance: random.Random, ranges: int = 40, facts: list[Fact] | None = None
) -> None:
    """Every tenant's and experiment's counts over random ranges, and the whole history, are those of its events."""
    facts = read_facts(connection) if facts is None else facts
    scopes = {(tenant, name) for tenant, experiment, *_ in facts for name in ("", experiment)}
    for tenant_id, experiment_id in sorted(scopes | {("default", ""), ("default", "nobody's")}):
        for first_day, last_day in _ranges(facts, chance, max(ranges // (len(scopes) + 2), 3)):
            asked = (first_day, last_day, experiment_id, tenant_id)
            assert read_counts(connection, *asked) == counted(facts, *asked), asked


def random_event(chance: random.Random, *, tenants: int = 1, users: int = 8, days: int = 12, ids: int = 0) -> EventRow:
    """An event of any of some users, days, experiments and variants; with `ids`, one of so many ids."""
    return campaign_event(
        chance.randrange(ids) if ids else chance.getrandbits(120),
        tenant_id=("default", "other", "third")[chance.randrange(tenants)],
        user_id=f"user_{chance.randrange(users)}",
        experiment_id=chance.choice(("", "e", "f")),
        variant=chance.choice(("", "A", "B")),
        event_name=chance.choice(("PAGE_VIEW", "CLICK", "CONVERSION")),
        occurred_at=NOW - timedelta(hours=chance.randrange(days * 24)),
    )


def _ranges(facts: list[Fact], chance: random.Random, number: int) -> Iterator[tuple[date | None, date | None]]:
    days = sorted({day for *_, day, _, _ in facts}) or [TODAY]
    yield None, None
    yield None, chance.choice(days)
    for _ in range(number):
        first = chance.choice(days) + timedelta(days=chance.randrange(-2, 3))
        yield first, first + timedelta(days=chance.choice((0, 1, 2, 5, 30, 398, 399)))


def _name(properties: dict[str, object], key: str) -> str:
    value = properties.get(key)
    return value if isinstance(value, str) and len(value) <= 255 else ""
