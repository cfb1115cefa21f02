"""The history files: what arrived before the cut is in them, once per arrival; the rest is left for the API."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.demo.history import record
from cli.demo.plan import Plan
from cli.demo.simulation import simulate
from tests.cli.demo.worlds import NAMES, NOON, by_hash, plan

MIDNIGHT = datetime(2026, 11, 19, tzinfo=UTC)


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


@pytest.mark.parametrize("now", [NOON, MIDNIGHT, MIDNIGHT + timedelta(minutes=1), MIDNIGHT - timedelta(seconds=1)])
def test_every_event_goes_exactly_one_way(tmp_path: Path, now: datetime) -> None:
    world = plan(users=120, days=6, now=now)
    lives = list(simulate(world, by_hash))
    recorded = record(world, lives, NAMES, tmp_path, lambda _: None)
    written = Counter(row["event_id"] for row in read_rows(recorded.events))
    sent = {event.event_id for life in recorded.live for batch in life.batches for event in batch.events}
    made = Counter(
        {event.event_id: len(batch.arrivals) for life in lives for batch in life.batches for event in batch.events}
    )
    assert written.total() == recorded.event_rows
    assert not written.keys() & sent
    assert len(made) == len(written) + len(sent) + recorded.still_on_phones
    assert all(made[one] == times for one, times in written.items()), "a body sent twice is in the file twice"
    assert sent


def test_the_api_gets_what_arrives_today_late_events_included(tmp_path: Path) -> None:
    world = plan(users=1_500, days=8)
    recorded = record(world, simulate(world, by_hash), NAMES, tmp_path, lambda _: None)
    batches = [batch for life in recorded.live for batch in life.batches]
    assert all(MIDNIGHT <= batch.arrivals[0] <= NOON for batch in batches)
    assert any(event.occurred_at < MIDNIGHT - timedelta(hours=1) for batch in batches for event in batch.events)
    assert any(len(batch.arrivals) > 1 for batch in batches)
    assert {batch.sends_ids for batch in batches} == {True, False}
    assert all(MIDNIGHT <= visit.asked_at <= NOON for life in recorded.live for visit in life.visits)


def test_just_after_midnight_the_api_still_gets_the_last_hours() -> None:
    assert Plan(1, 2, 1, MIDNIGHT + timedelta(minutes=5)).cut == MIDNIGHT - timedelta(hours=2, minutes=55)
    assert Plan(1, 2, 1, NOON).cut == MIDNIGHT


def test_rows_have_the_columns_that_import_takes(tmp_path: Path) -> None:
    world = plan(users=50, days=6)
    recorded = record(world, simulate(world, by_hash), NAMES, tmp_path, lambda _: None)
    events = read_rows(recorded.events)
    assigned = {
        (row["anonymous_user_id"], row["experiment_id"]): row
        for row in map(json.loads, recorded.assignments.read_text().splitlines())
    }
    assert len(assigned) == recorded.assignment_rows
    for row in events:
        for column in ("occurred_at", "received_at", "sent_at"):
            assert datetime.fromisoformat(row[column]).utcoffset() == timedelta(0)
        for stamp in row["assignments"]:
            own = assigned[row["anonymous_user_id"], stamp["experiment_id"]]
            assert own["variant_id"] == stamp["variant_id"] == row["experiment_map"][stamp["experiment_id"]]
            assert own["assigned_at"] < row["received_at"]


def test_the_same_plan_writes_the_same_bytes(tmp_path: Path) -> None:
    world = plan(users=20, days=5)
    first = record(world, simulate(world, by_hash), NAMES, tmp_path / "first", lambda _: None)
    second = record(world, simulate(world, by_hash), NAMES, tmp_path / "second", lambda _: None)
    assert first.events.read_bytes() == second.events.read_bytes()
    assert first.assignments.read_bytes() == second.assignments.read_bytes()
