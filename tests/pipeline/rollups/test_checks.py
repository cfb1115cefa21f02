"""The checks notice what they are for: a lost, doubled or exchanged event, a changed row, old numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from pipeline.lake.table import LakeSnapshot
from pipeline.rollups.checks import freshness, lake_matches_postgres, recompute
from pipeline.rollups.jobs import JOBS
from tests.pipeline.rollups.rollup_world import World
from tests.pipeline.rollups.test_rollups import AS_OF, HISTORY, WINDOW, event

DAY = date(2026, 2, 18)


@pytest.fixture
def world(database_url: str, connection: psycopg.Connection, tmp_path: Path) -> Iterator[World]:
    world = World(database_url, connection, tmp_path)
    world.load(HISTORY)
    world.export()
    yield world


def snapshot_of(world: World) -> LakeSnapshot:
    snapshot = world.lake.snapshot()
    assert snapshot is not None
    return snapshot


def differences(world: World, snapshot: LakeSnapshot, *days: date) -> list[tuple[date, int, int]]:
    balances = lake_matches_postgres(world.settings, world.database_url, snapshot, *days)
    assert balances
    return [(found.day, found.postgres.rows, found.lake.rows) for found in balances if not found.matches]


def test_lake_and_postgres_agree_after_an_export(world: World) -> None:
    assert differences(world, snapshot_of(world)) == []
    assert differences(world, snapshot_of(world), DAY, DAY) == []


def test_events_that_no_export_has_taken_yet_are_not_missed(world: World) -> None:
    before = snapshot_of(world)
    world.add_events(event(30, "late"))
    assert differences(world, before) == []


def test_a_lost_event_is_noticed_on_its_day(world: World) -> None:
    world.connection.execute(
        "INSERT INTO event_logs (event_id, anonymous_user_id, event_name, occurred_at, ingest_xid)"
        " VALUES (gen_random_uuid(), 'ann', 'app_opened', '2026-02-18T10:00:00Z', '3'::xid8)"
    )
    assert differences(world, snapshot_of(world)) == [(DAY, 4, 3)]
    assert differences(world, snapshot_of(world), DAY, DAY) == [(DAY, 4, 3)]


def test_a_doubled_event_is_noticed_on_its_day(world: World) -> None:
    snapshot = snapshot_of(world)
    doubled = next(file for file in snapshot.files if file.day == DAY)
    assert differences(world, replace(snapshot, files=(*snapshot.files, doubled))) == [(DAY, 3, 6)]


def test_an_exchanged_event_is_noticed_although_the_count_is_right(world: World) -> None:
    world.connection.execute(
        "DELETE FROM event_logs WHERE event_name = 'session_submitted' AND occurred_at < %s", [AS_OF]
    )
    world.connection.execute(
        "INSERT INTO event_logs (event_id, anonymous_user_id, event_name, occurred_at, ingest_xid)"
        " VALUES (gen_random_uuid(), 'ann', 'session_submitted', '2026-02-18T10:00:00Z', '3'::xid8)"
    )
    assert differences(world, snapshot_of(world)) == [(DAY, 3, 3)]


def test_published_rows_can_be_computed_again(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    world.add_events(event(31, "later"))
    world.export()
    world.connection.execute(
        "INSERT INTO assignments (anonymous_user_id, experiment_id, variant_id, assigned_at)"
        " VALUES ('later', 'exp', 'A', clock_timestamp())"
    )
    assert [found.difference for found in recompute(world.settings, world.database_url)] == [None] * len(JOBS)


def test_a_changed_row_is_named(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    world.connection.execute(
        "UPDATE funnel_rollups SET users_count = 7 WHERE day = %s AND dimension_key = 'exp:A'", [DAY]
    )
    daily, experiment, funnel, *others = recompute(world.settings, world.database_url)
    assert [found.difference for found in others] == [None, None]
    assert daily.difference is None
    assert experiment.difference is None
    assert funnel.difference is not None
    assert funnel.difference.startswith("default/2026-02-18/core_journey/active_open/exp:A was published as")
    assert funnel.difference.endswith("; a new rollup sets it right")


def test_a_deployment_that_never_published_is_not_fresh(world: World) -> None:
    assert [found.fresh for found in freshness(world.database_url, AS_OF)] == [False] * len(JOBS)
    assert {found.difference for found in recompute(world.settings, world.database_url)} == {
        "never published; run `rollup`"
    }


def test_numbers_are_fresh_until_yesterday_is_missing(world: World) -> None:
    world.roll_up(WINDOW, AS_OF)
    for days, fresh in ((0, True), (1, True), (2, False)):
        found = freshness(world.database_url, AS_OF + timedelta(days=days))
        assert [job.fresh for job in found] == [fresh] * len(JOBS)
        assert {job.newest_day for job in found} == {WINDOW.last}
