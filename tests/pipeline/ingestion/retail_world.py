"""Visits of made-up web shops, and their statistics counted by brute force over the stored events."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from pipeline.ingestion.event_store import EventRow
from pipeline.statements import statement
from tests.makers import NOW, event_row

Stats = tuple[int, int, list[dict[str, Any]]]


def visit_event(number: int = 0, **fields: Any) -> EventRow:
    """One visit as it is stored: `site_id`, `path` and `user_id` replace those of its properties and its user."""
    site_id, path, user_id = fields.pop("site_id", "shop"), fields.pop("path", "/"), fields.pop("user_id", None)
    properties = {"site_id": site_id, "path": path, **({"user_id": user_id} if user_id is not None else {})}
    defaults: dict[str, Any] = {
        "event_id": str(uuid.UUID(int=number + 1)),
        "anonymous_user_id": user_id or "",
        "platform": None,
        "app_version": None,
        "event_name": "page_view",
        "occurred_at": NOW,
        "received_at": NOW,
        "properties": json.dumps(properties, ensure_ascii=False),
        "context": '{"source":"retail"}',
    }
    return event_row(number, **{**defaults, **fields})


def read_stats(
    connection: psycopg.Connection, site_id: str, day: date | None = None, tenant_id: str = "default"
) -> Stats:
    """What GET /stats reads."""
    row = connection.execute(
        statement("retail/site_stats"),
        {"tenant_id": tenant_id, "site_id": site_id, "day": "-infinity" if day is None else day.isoformat()},
    ).fetchone()
    assert row is not None
    return row


def counted_stats(connection: psycopg.Connection) -> dict[tuple[str, str, date | None], Stats]:
    """The statistics of every tenant, site and day (None: the whole history), from event_logs and in plain Python."""
    rows = connection.execute(
        "SELECT tenant_id, properties, event_name, anonymous_user_id, occurred_at FROM event_logs"
        " WHERE context ->> 'source' = 'retail'"
    ).fetchall()
    views: dict[tuple[str, str, date | None], Counter[str]] = {}
    users: dict[tuple[str, str, date | None], set[str]] = {}
    for tenant_id, properties, name, user, occurred_at in rows:
        for day in (None, _utc_day(occurred_at)):
            key = (tenant_id, properties["site_id"], day)
            views.setdefault(key, Counter())[properties["path"]] += name == "page_view"
            users.setdefault(key, set()).update({user} - {""})
    return {key: (paths.total(), len(users[key]), _top(paths)) for key, paths in views.items()}


def _utc_day(moment: datetime) -> date:
    return moment.astimezone(UTC).date()


def _top(paths: Counter[str]) -> list[dict[str, Any]]:
    ordered = sorted(((-views, path) for path, views in paths.items() if views))
    return [{"path": path, "views": -views} for views, path in ordered[:10]]
